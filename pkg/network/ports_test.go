package network

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var local = netip.MustParseAddr("127.0.0.1")

func TestHostPortsThatMeet(t *testing.T) {
	other := netip.MustParseAddr("192.0.2.2")
	six := netip.MustParseAddr("::1")
	for _, tc := range []struct {
		a, b netip.Addr
		want bool
	}{
		{local, other, false}, {local, local, true}, {netip.Addr{}, local, true}, {netip.IPv4Unspecified(), local, true}, {six, local, false}, {netip.IPv6Unspecified(), six, true}, {netip.IPv6Unspecified(), local, false},
	} {
		require.Equal(t, tc.want, sameHost(tc.a, tc.b), "%v %v", tc.a, tc.b)
		require.Equal(t, tc.want, sameHost(tc.b, tc.a), "%v %v", tc.b, tc.a)
	}
}

func TestAReservedPortIsNobodyElses(t *testing.T) {
	for _, proto := range []string{"tcp", "udp"} {
		held, port, err := reservePort(Port{Proto: proto, HostIP: local, Port: 80}, 0, false)
		require.NoError(t, err)
		require.NotZero(t, port)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		taken := func() error {
			if proto == "udp" {
				c, err := net.ListenPacket("udp", address)
				if err == nil {
					_ = c.Close()
				}
				return err
			}
			l, err := net.Listen("tcp", address) // Go sets SO_REUSEADDR
			if err == nil {
				_ = l.Close()
			}
			return err
		}
		require.ErrorIs(t, taken(), unix.EADDRINUSE, proto)
		held.close()
		require.NoError(t, taken(), proto)
	}
}

func TestTheHolderOfAPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	require.Equal(t, fmt.Sprintf("network.test (process %d)", os.Getpid()), holder("/proc", "tcp", uint16(l.Addr().(*net.TCPAddr).Port)))
	require.Empty(t, holder("/proc", "tcp", 1))
	require.Empty(t, holder(t.TempDir(), "tcp", 1))
}

// TestAPortOfClosedConnectionsIsFree: a service that ended a second ago leaves them for a minute.
func TestAPortOfClosedConnectionsIsFree(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	s, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, s.Close()) // the server closes first, so TIME_WAIT is on its port
	_, _ = c.Read(make([]byte, 1))
	require.NoError(t, c.Close())
	require.NoError(t, l.Close())
	held, _, err := reservePort(Port{Proto: "tcp", HostIP: local, Port: 80}, uint16(l.Addr().(*net.TCPAddr).Port), false)
	require.NoError(t, err)
	held.close()
}

func TestAPortThatEdgedChoseIsChosenAnewWhenItIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	taken := uint16(l.Addr().(*net.TCPAddr).Port)
	any, fixed := Port{Proto: "tcp", HostIP: local, Port: 80}, Port{Proto: "tcp", HostIP: local, From: taken, To: taken, Port: 81}
	m := manager()
	m.Log = logrus.New()
	rec := &Record{Module: "m", Ports: []PortLease{{any, taken}}}
	c, chosen, err := m.claimPorts(rec, &Plan{Ports: []Port{any}})
	require.NoError(t, err)
	require.True(t, chosen)
	require.NotEqual(t, taken, rec.hostPort(any))
	m.claims = map[string]*claim{"m": c}
	_, _, err = m.claimPorts(&Record{Module: "n"}, &Plan{Ports: []Port{fixed}})
	require.True(t, errdefs.IsConflict(err), "%v", err)
	require.ErrorContains(t, err, fmt.Sprintf("host port %d/tcp is taken by network.test (process %d)", taken, os.Getpid()))
	mine := rec.hostPort(any)
	_, _, err = m.claimPorts(&Record{Module: "n"}, &Plan{Ports: []Port{{Proto: "tcp", From: mine, To: mine, Port: 1}}})
	require.ErrorContains(t, err, `is published by module "m"`)
	c.held.close()
}

func TestARangeOfHostPortsGivesTheFirstThatIsFree(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	taken := uint16(l.Addr().(*net.TCPAddr).Port)
	m := manager(Record{Module: "other", Plan: Plan{Ports: []Port{{Proto: "tcp", From: taken + 1, To: taken + 1, Port: 1}}}})
	wish := Port{Proto: "tcp", HostIP: local, From: taken, To: taken + 9, Port: 80}
	got, err := m.choosePort(wish, m.takenPorts(&Record{Module: "m"}))
	require.NoError(t, err)
	require.Greater(t, got, taken+1)
	_, err = m.choosePort(Port{Proto: "tcp", HostIP: local, From: taken, To: taken + 1, Port: 80}, m.takenPorts(&Record{Module: "m"}))
	require.True(t, errdefs.IsConflict(err), "%v", err)
}

func TestChosenPortsOfAModuleAreEachOnesOwn(t *testing.T) {
	m, rec := manager(), &Record{Module: "m"}
	plan := Plan{}
	for i := range MaxPorts {
		plan.Ports = append(plan.Ports, Port{Proto: "tcp", HostIP: local, Port: uint16(i + 1)})
	}
	_, err := m.allocate(rec, &plan)
	require.NoError(t, err)
	seen := map[uint16]bool{}
	for _, l := range rec.Ports {
		seen[l.Host] = true
	}
	require.Len(t, seen, MaxPorts)
	require.Len(t, m.takenPorts(rec), MaxPorts)
}
