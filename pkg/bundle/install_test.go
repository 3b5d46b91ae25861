package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/pack/packtest"
	"github.com/edged/edged/pkg/work"
)

func TestBundlesAreInstalledInTheirOrder(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		require.False(t, r.host.wants(), "there is no bundle")
		r.connect()
		keys, err := r.try(Options{}, jar("b", "2.0", "Jahia-GroupId", "g"), jar("a", "1.0.0.X"))
		require.NoError(t, err)
		require.Equal(t, []Key{{"g", "b", "2.0.0"}, {"", "a", "1.0.0.X"}}, keys)
		require.Equal(t, "b/2.0.0", strings.Split(r.wanted(), ", ")[1])
		require.Equal(t, "a/1.0.0.X INSTALLED, b/2.0.0 INSTALLED", r.states())
		require.True(t, r.host.wants())
		r.settled()
		r.restart()
		require.Equal(t, "b", r.List()[0].Name, "in the order in which they came, also after a restart")
		r.install(jar("c", "1"))
		require.Equal(t, "c", r.List()[2].Name)
		r.settled()
	})
}

func TestAnInstallCanStart(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("user", "1", "Import-Package", "p"), jar("provider", "1", "Export-Package", "p"))
		require.Equal(t, "provider/1.0.0 ACTIVE*, user/1.0.0 ACTIVE*", r.states())
		require.Equal(t, "provider/1.0.0*, user/1.0.0*", r.wanted())
		r.settled()
	})
}

func TestTheLastOfTwoVersionsIsStarted(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("a", "1"), jar("a", "2"))
		require.Equal(t, "a/1.0.0 INSTALLED, a/2.0.0 ACTIVE*", r.states())
		require.Equal(t, "a/1.0.0, a/2.0.0*", r.wanted())
		r.settled()
	})
}

func TestOneUnsoundBundleLeavesNothingOfAll(t *testing.T) {
	missing := "Unable to install module. Cause: Submitted bundle is either not a valid OSGi bundle or has no required manifest headers Bundle-SymbolicName and Implementation-Version/Bundle-Version"
	for name, tc := range map[string]struct {
		jars [][]byte
		text string
	}{
		"none":       {nil, "At least one bundle file is required"},
		"no archive": {[][]byte{jar("a", "1"), []byte("no archive")}, missing},
		"nothing":    {[][]byte{jar("a", "1"), {}}, missing},
		"no name":    {[][]byte{jar("a", "1"), packtest.Bundle{Headers: map[string]string{"Bundle-SymbolicName": ""}}.Bytes()}, missing},
		"no version": {[][]byte{jar("a", "1"), packtest.Bundle{Headers: map[string]string{"Bundle-Version": ""}}.Bytes()}, missing},
		"too much": {
			[][]byte{jar("a", "1"), packtest.Bundle{Files: map[string][]byte{"x": make([]byte, unpackedRatio*testMaxSize+1)}}.Bytes()},
			"Unable to install module. Cause: it unpacks to more than 262144 bytes",
		},
		"no manifest":               {[][]byte{jar("a", "1"), packtest.Zip(nil)}, missing},
		"no version of OSGi's":      {[][]byte{jar("a", "1"), jar("b", "1.0-SNAPSHOT")}, "Bundle-Version"},
		"exports Java":              {[][]byte{jar("a", "1"), jar("b", "1", "Export-Package", "java.lang")}, "Export-Package"},
		"twice the same":            {[][]byte{jar("a", "1"), jar("b", "1"), jar("b", "1.0", "Jahia-GroupId", "g")}, "the request has the bundle b 1.0.0 twice"},
		"a package without bundles": {[][]byte{jar("a", "1"), packtest.DeploymentPackage{}.Bytes()}, "Unable to install module. Cause: it has no bundles"},
		"a package that lies": {[][]byte{jar("a", "1"), packtest.DeploymentPackage{
			Bundles:  []packtest.Bundle{{}, {Headers: map[string]string{"Bundle-SymbolicName": "y"}}},
			Sections: map[string]map[string]string{"bundles/y_1.0.0.jar": {"Bundle-SymbolicName": "z", "Bundle-Version": "1.0.0"}},
		}.Bytes()}, "Unable to install module. Cause: "},
		"a package with what is none": {[][]byte{packtest.DeploymentPackage{
			Bundles:  []packtest.Bundle{{}},
			Files:    map[string][]byte{"bundles/y.jar": []byte("none")},
			Sections: map[string]map[string]string{"bundles/y.jar": {"Bundle-SymbolicName": "y", "Bundle-Version": "1.0.0"}},
		}.Bytes()}, "Unable to install module. Cause: "},
		"for another Java": {
			[][]byte{jar("a", "1"), packtest.Bundle{Files: map[string][]byte{"A.class": packtest.Class(21)}}.Bytes()},
			"Unable to install module. Cause: x/1.0.0: its classes need Java 21, and this device has Java 17 (ignoreChecks=true takes it all the same)",
		},
		"for another machine": {[][]byte{jar("a", "1"), jar("b", "1", "Bundle-NativeCode", "a.dll;osname=Windows")}, "Bundle-NativeCode"},
	} {
		t.Run(name, func(t *testing.T) {
			onDevice(t, func(t *testing.T, r *rig) {
				_, err := r.try(Options{Start: true}, tc.jars...)
				require.ErrorContains(t, err, tc.text)
				require.True(t, errdefs.IsInvalidArgument(err), "%v", err)
				require.Empty(t, r.wanted())
				require.Empty(t, r.states())
				r.settled()
				r.install(jar("a", "1"))
				r.settled()
			})
		})
	}
}

func TestTheFirstBundleIsHeldToTheJavaOfAHostThatComesUpForIt(t *testing.T) {
	bare(t, func(t *testing.T, r *rig) {
		time.AfterFunc(time.Second, func() { r.Connected(r.w.connect()) })
		_, err := r.try(Options{}, packtest.Bundle{Files: map[string][]byte{"A.class": packtest.Class(21)}}.Bytes())
		require.ErrorContains(t, err, "need Java 21")
		require.True(t, errdefs.IsInvalidArgument(err))
		require.Empty(t, r.states())
		r.settled()
		require.False(t, r.host.wants())
	})
}

func TestChecksCanBeIgnored(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		_, err := r.try(Options{IgnoreChecks: true}, packtest.Bundle{Files: map[string][]byte{"A.class": packtest.Class(21)}}.Bytes(), jar("b", "1", "Bundle-NativeCode", "a.dll;osname=Windows"))
		require.NoError(t, err)
		require.Equal(t, "b/1.0.0, x/1.0.0", r.wanted())
		_, err = r.try(Options{IgnoreChecks: true}, []byte("no archive"))
		require.True(t, errdefs.IsInvalidArgument(err), "soundness is no check")
	})
}

func TestModulesAreWrittenAsTheFrameworkHasToSeeThem(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.install(jar("m", "1", "Jahia-Module-Type", "module", "Jahia-Depends", "base"))
		row := r.List()[0]
		require.NotEqual(t, row.Uploaded, row.Digest)
		require.Equal(t, Module, row.Kind)
		r.w.mu.Lock()
		require.Contains(t, fmt.Sprint(r.w.all[1].says.RequireCapability), "com.jahia.modules.dependencies")
		r.w.mu.Unlock()
		r.settled()
	})
}

func TestADeploymentPackageIsItsBundles(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		p := packtest.DeploymentPackage{Bundles: []packtest.Bundle{
			{Headers: map[string]string{"Bundle-SymbolicName": "a"}}, {Headers: map[string]string{"Bundle-SymbolicName": "b", "Jahia-Module-Type": "module"}},
		}}
		keys, err := r.try(Options{Start: true}, p.Bytes(), jar("c", "1"))
		require.NoError(t, err)
		require.Len(t, keys, 3)
		require.Equal(t, "a/1.0.0 ACTIVE*, b/1.0.0 ACTIVE*, c/1.0.0 ACTIVE*", r.states())
		r.settled()
	})
}

func TestAKeyThatIsThereIsUpdated(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("p", "1", "Export-Package", "p"), jar("u", "1", "Import-Package", "p"))
		before := r.List()[0]
		time.Sleep(time.Hour)
		r.install(jar("p", "1", "Export-Package", "p,q"))
		after := r.List()[0]
		require.NotEqual(t, before.Digest, after.Digest)
		require.Equal(t, before.Installed, after.Installed)
		require.Equal(t, time.Hour, after.Updated.Sub(before.Updated))
		require.Equal(t, before.Sequence, after.Sequence)
		require.Equal(t, "p/1.0.0 ACTIVE*, u/1.0.0 ACTIVE*", r.states())
		r.settled()
		r.w.calls = nil
		r.install(jar("p", "1", "Export-Package", "p,q"))
		require.Contains(t, strings.Join(r.w.calls, ","), "update p", "the same bytes are given again")
		r.settled()
		r.install(jar("p", "1", "Export-Package", "q"))
		require.Equal(t, "p/1.0.0 ACTIVE*, u/1.0.0 INSTALLED*", r.states(), "what used it and cannot any more")
		r.settled()
	})
}

func TestAGroupMakesNoOtherBundleOfANameAndVersion(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.install(jar("a", "1"))
		_, err := r.try(Options{}, jar("b", "1"), jar("a", "1", "Jahia-GroupId", "g"))
		var no *Refused
		require.ErrorAs(t, err, &no)
		require.EqualError(t, err, "Error while installing bundle")
		require.Equal(t, 9, no.Type)
		require.Equal(t, "a/1.0.0", r.wanted())
		r.settled()
	})
}

// TestARefusalAnywhereUndoesTheWholeInstall refuses each call of an install in turn.
func TestARefusalAnywhereUndoesTheWholeInstall(t *testing.T) {
	refusals := 0
	for at := 1; ; at++ {
		more := false
		onDevice(t, func(t *testing.T, r *rig) {
			r.run(jar("p", "1", "Export-Package", "p"), jar("u", "1", "Import-Package", "p"))
			before := r.states()
			digest := r.List()[0].Digest
			n := 0
			r.w.refuse = func(op, name string) error {
				if op == "ping" {
					return nil
				}
				if n++; n == at {
					more = true
					return exception(0, "no to "+op)
				}
				return nil
			}
			_, err := r.try(Options{}, jar("n1", "1"), jar("p", "1", "Export-Package", "p,q"), jar("n2", "1"))
			r.w.refuse = nil
			if !more {
				require.NoError(t, err)
				return
			}
			if err != nil {
				refusals++
				var failure *Failed
				require.ErrorAs(t, err, &failure, "call %d", at)
				require.Equal(t, "p/1.0.0*, u/1.0.0*", r.wanted(), "call %d", at)
				require.Equal(t, digest, r.List()[0].Digest)
				require.Equal(t, before, r.states(), "call %d", at)
			}
			r.settled()
		})
		if !more {
			break
		}
	}
	require.GreaterOrEqual(t, refusals, 4)
}

func TestADatabaseThatFailsLeavesNothing(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.run(jar("a", "1"))
		r.store.fail = errors.New("the disk is gone")
		_, err := r.try(Options{}, jar("a", "1", "X", "y"), jar("b", "1"))
		require.ErrorIs(t, err, r.store.fail)
		_, err = r.Uninstall(t.Context(), "a")
		require.ErrorIs(t, err, r.store.fail)
		r.store.fail = nil
		synctest.Wait()
		r.mu.Lock()
		r.woken()
		r.mu.Unlock()
		synctest.Wait()
		require.Equal(t, "a/1.0.0 ACTIVE*", r.states(), "what is remembered the framework has again")
		r.settled()
	})
}

func TestOldBytesThatGoneRowsHadAreGone(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.install(jar("a", "1"), jar("b", "1"))
		require.NoError(t, r.Content.Drop(t.Context(), r.List()[0].Digest), "as a disk does")
		r.restart()
		require.Equal(t, "b/1.0.0", r.wanted())
		r.settled()
	})
}

// endless is a source of so many bytes.
type endless struct {
	left int
	do   func(left int)
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(e.left, len(p))
	e.left -= n
	if e.do != nil {
		e.do(e.left)
	}
	return n, nil
}

func TestUploadsHaveLimits(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		_, err := r.Receive(testMaxSize + Overhead + 1)
		require.True(t, errdefs.IsOutOfRange(err), "%v", err)
		u, err := r.Receive(-1)
		require.NoError(t, err)
		require.NoError(t, u.Add(t.Context(), &endless{left: testMaxSize / 2}))
		err = u.Add(t.Context(), &endless{left: testMaxSize/2 + 1})
		require.True(t, errdefs.IsOutOfRange(err), "all together: %v", err)
		u.Abort()
		r.consistent()

		u, err = r.Receive(-1)
		require.NoError(t, err)
		for range maxParts {
			require.NoError(t, u.Add(t.Context(), bytes.NewReader(nil)))
		}
		require.True(t, errdefs.IsInvalidArgument(u.Add(t.Context(), bytes.NewReader(nil))))
		u.Abort()
		r.consistent()

		broken := errors.New("the client left")
		u, err = r.Receive(-1)
		require.NoError(t, err)
		require.ErrorIs(t, u.Add(t.Context(), io.MultiReader(&endless{left: 10}, failing{broken})), broken)
		u.Abort()
		u.Abort()
		r.consistent()

		var all []*Upload
		for range uploadsAtOnce {
			u, err := r.Receive(100)
			require.NoError(t, err)
			all = append(all, u)
		}
		_, promised, err := r.Content.Room()
		require.NoError(t, err)
		require.EqualValues(t, 100*uploadsAtOnce, promised)
		_, err = r.Receive(1)
		require.True(t, errdefs.IsUnavailable(err), "%v", err)
		for _, u := range all {
			u.Abort()
		}
		r.consistent()
		r.FreeFloor = 1 << 60
		_, err = r.Receive(1)
		require.True(t, errdefs.IsResourceExhausted(err), "%v", err)
		r.consistent()
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestWhatIsWrittenIsPromisedNoMore(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		const size = 40 << 20
		r.MaxSize = size
		u, err := r.Receive(size)
		require.NoError(t, err)
		least := int64(size)
		require.NoError(t, u.Add(t.Context(), &endless{left: size, do: func(left int) {
			if left > 0 {
				_, promised, err := r.Content.Room()
				require.NoError(t, err)
				least = min(least, promised)
			}
		}}))
		require.LessOrEqual(t, least, int64(size/2), "it would need twice its size of the disk")
		u.Abort()
		r.consistent()
	})
}

func TestAnInstallGoesOnWhenItsClientLeaves(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		started := make(chan struct{})
		r.w.activators["a"] = func(context.Context) error { <-started; return nil }
		u, err := r.Receive(1000)
		require.NoError(t, err)
		require.NoError(t, u.Add(t.Context(), bytes.NewReader(jar("a", "1"))))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err = u.Install(ctx, Options{Start: true})
		require.ErrorIs(t, err, context.Canceled)
		u.Abort()
		r.mu.Lock()
		require.Equal(t, 1, r.slots, "its work has its place")
		r.mu.Unlock()
		close(started)
		synctest.Wait()
		require.Equal(t, Active, r.state("a/1"))
		r.settled()
	})
}

func TestCloseEndsWorkInItsMiddle(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.w.activators["a"] = func(ctx context.Context) error { <-ctx.Done(); return nil }
		time.AfterFunc(time.Second, r.Close)
		begun := time.Now()
		_, err := r.try(Options{Start: true}, jar("a", "1"))
		require.True(t, errdefs.IsUnavailable(err), "%v", err)
		require.Less(t, time.Since(begun), 2*time.Second)
		_, err = r.Receive(1)
		require.ErrorIs(t, err, work.ErrStopping)
		_, err = r.Stop(t.Context(), "a")
		require.ErrorIs(t, err, work.ErrStopping)
		delete(r.w.activators, "a")
		r.w.reboot()
		r.restart()
		require.Equal(t, "a/1.0.0 ACTIVE*", r.states(), "it was wanted")
		r.settled()
	})
}

func TestAnUploadThatMeetsCloseIsForgotten(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		u, err := r.Receive(1000)
		require.NoError(t, err)
		require.NoError(t, u.Add(t.Context(), bytes.NewReader(jar("a", "1"))))
		r.Close()
		_, err = u.Install(t.Context(), Options{})
		require.ErrorIs(t, err, work.ErrStopping)
		u.Abort()
		r.consistent()
	})
}

func TestAnUndoDoesNotHoldUpClose(t *testing.T) {
	onDevice(t, func(t *testing.T, r *rig) {
		r.w.refuse = func(op, name string) error {
			if strings.Contains(name, "b/1") {
				r.w.refuse = nil
				go r.Close()
				time.Sleep(time.Second)
				return exception(0, "no")
			}
			return nil
		}
		begun := time.Now()
		_, err := r.try(Options{}, jar("a", "1"), jar("b", "1"))
		require.Error(t, err)
		synctest.Wait()
		require.Less(t, time.Since(begun), 5*time.Second)
		r.restart()
		require.Empty(t, r.states())
		r.settled()
	})
}
