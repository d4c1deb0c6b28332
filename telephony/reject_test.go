package telephony

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/telephony/softphone"
)

// Registered implements Handler.
func (w *world) Registered(_ context.Context, r device.Registration) error {
	w.mu.Lock()
	away := w.away
	w.mu.Unlock()
	if away != nil {
		return away
	}
	w.change(func() {
		w.phoneLog = append(w.phoneLog, r)
		k := string(r.Device) + " " + r.Instance
		if r.Expires.After(time.Now()) {
			w.regs[k] = r
		} else if !w.forgetful {
			delete(w.regs, k)
		}
	})
	return nil
}

// Rejected implements Handler.
func (w *world) Rejected(_ context.Context, r device.Rejection) error {
	w.change(func() { w.rejections = append(w.rejections, r) })
	return nil
}

// What is rejected is told for the device's history, with the reason: at once, and then not
// again for a while however often it happens; of names that are no device nobody hears.
func TestRegister_Rejected_IsToldOnceInAWhile(t *testing.T) {
	t.Parallel()
	clock := &clockwork{}
	s := play(t, func(c *Config, _ *world) { c.Now = clock.now })
	wrong := func(user string) {
		p, err := softphone.New(t.Context(), softphone.Config{Server: s.udp, User: user, Domain: string(demo), Password: "wrong"})
		require.NoError(t, err)
		t.Cleanup(p.Close)
		require.Error(t, p.Register(s.soon(), time.Hour))
	}
	told := func(n int) (last device.Rejection) {
		s.w.until(t, "rejections", func() bool {
			if len(s.w.rejections) < n {
				return false
			}
			require.Len(t, s.w.rejections, n)
			last = s.w.rejections[n-1]
			return true
		})
		return last
	}
	wrong("nobody")
	wrong("1001")
	first := told(1)
	require.Equal(t, device.WrongPassword, first.Reason)
	require.Equal(t, id.Device("1001"), first.Device)
	require.Equal(t, demo, first.Tenant)
	require.Equal(t, 1, first.Times)
	require.Equal(t, "udp", first.Transport)
	require.Equal(t, "holdfast phone", first.UserAgent)
	require.NotEmpty(t, first.Address)
	wrong("1001") // not told: it is the same again
	wrong("1001")
	banned := told(2)
	require.Equal(t, device.Banned, banned.Reason, "another reason is told at once")
	wrong("1001")
	require.Eventually(t, func() bool { // the phone has its answer a moment before it is counted
		r := &s.phones.rejections
		r.mu.Lock()
		defer r.mu.Unlock()
		k := r.known[rejected{demo, "1001", device.Banned}]
		return k != nil && k.times == 1
	}, 10*time.Second, time.Millisecond)
	clock.offset.Add(int64(rejectEvery))
	wrong("1001")
	again := told(3)
	require.Equal(t, device.Banned, again.Reason)
	require.Equal(t, 2, again.Times, "with the one that was not told")
}
