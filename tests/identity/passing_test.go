package identity

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/tests/device"
)

// edgeAgent lends its connection to another module, by a folder that both have. The borrower is edgeAgent as long as the lender lives, and not a request longer.
func TestDescriptorPassedToAnotherModule(t *testing.T) {
	r := newRig(t)
	r.module(t, "borrower", func(host map[string]any) {
		host["Binds"] = append(host["Binds"].([]any), r.ProbeDir("edgeAgent")+":/agent")
	})
	borrower := r.puppet(t, "borrower")
	borrower.do(t, command{Op: "listen", Conn: "l", Path: "/agent/pass.sock"})
	for _, weaknesses := range []string{real, "NoLiveness"} {
		t.Run(against(weaknesses), func(t *testing.T) {
			r.daemon(t, weaknesses)
			lender := r.puppet(t, "edgeAgent")
			lender.dial(t, "c", device.ManagementInside)
			lender.do(t, command{Op: "pass", Conn: "c", Path: "/probe/pass.sock"})
			borrower.do(t, command{Op: "receive", Conn: "l", Text: "c"})
			require.Equal(t, http.StatusNoContent, borrower.ask(t, "c", harmless).Status)
			e := r.audited(t)
			require.Equal(t, "edgeAgent", e.CallerModule)

			lender.exit(t)
			last := borrower.ask(t, "c", r.planted("planted"))
			if weaknesses != real {
				require.Equal(t, http.StatusCreated, last.Status)
				require.Equal(t, "edgeAgent", r.audited(t).CallerModule)
				return
			}
			require.Equal(t, http.StatusForbidden, last.Status)
			require.True(t, last.Closed)
			require.Equal(t, "1", r.rejected(t, "management", "gone"))
			require.False(t, r.exists("planted"))
		})
	}
}

// A connection of a module outlives the module: another process has it while the module is updated, or removed and created again.
func TestConnectionOfAnEarlierInstance(t *testing.T) {
	r := newRig(t)
	r.module(t, "holder", func(host map[string]any) {
		host["Binds"] = append(host["Binds"].([]any), r.ProbeDir("sensor")+":/sensor")
	})
	r.module(t, "sensor", nil)
	holder := r.puppet(t, "holder")
	holder.do(t, command{Op: "listen", Conn: "l", Path: "/sensor/pass.sock"})
	for _, weaknesses := range []string{real, "NoLiveness"} {
		for _, way := range []string{"updated", "created again"} {
			t.Run(way+" "+against(weaknesses), func(t *testing.T) {
				r.daemon(t, weaknesses)
				sensor := r.puppet(t, "sensor")
				sensor.dial(t, "c", device.ManagementInside)
				sensor.do(t, command{Op: "pass", Conn: "c", Path: "/probe/pass.sock"})
				holder.do(t, command{Op: "receive", Conn: "l", Text: "c"})
				require.Equal(t, http.StatusNoContent, holder.ask(t, "c", harmless).Status)
				old := r.audited(t).CallerContainer
				require.NotEmpty(t, old)

				if way == "updated" {
					a := r.Agent().Manage(http.MethodPut, "/modules/sensor?start=true", r.Body(r.spec("sensor", nil)))
					require.Equal(t, http.StatusOK, a.Status, a.Body)
				} else {
					a := r.Agent().Manage(http.MethodDelete, "/modules/sensor", "")
					require.Equal(t, http.StatusNoContent, a.Status, a.Body)
					r.module(t, "sensor", nil)
				}
				last := holder.ask(t, "c", harmless)
				if weaknesses != real {
					require.Equal(t, http.StatusNoContent, last.Status)
					require.Equal(t, old, r.audited(t).CallerContainer)
					return
				}
				require.Equal(t, http.StatusForbidden, last.Status)
				require.True(t, last.Closed)
				require.Equal(t, "1", r.rejected(t, "management", "stale_instance"))
				fresh := r.puppet(t, "sensor")
				fresh.dial(t, "c", device.ManagementInside)
				require.Equal(t, http.StatusNoContent, fresh.ask(t, "c", harmless).Status)
				require.Equal(t, "sensor", r.audited(t).CallerModule)
			})
		}
	}
}
