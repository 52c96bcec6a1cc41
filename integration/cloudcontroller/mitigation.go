package cloudcontroller

import (
	"context"
	"time"
)

// MitigationAttempts is how often a delete of what may be an orphan is tried.
const MitigationAttempts = 11

// mitigates tells whether Cloud Controller deletes what a create may have left
// behind. It never does for the other calls.
//
//	taken for                  mitigated
//	a time-out of its own      yes
//	a bad response             yes   (5xx; 410; an unknown 2xx; a 422 without a known word)
//	malformed                  yes, unless it was 200
//	all else                   no    (408, 4xx, conflicts, a connection that broke)
func mitigates(err *Error) bool {
	if err.Call != CallProvision && err.Call != CallBind {
		return false
	}
	switch err.Kind {
	case HTTPClientTimeout, BadResponse:
		return true
	case ResponseMalformed:
		return err.Status != 200
	default:
		return false
	}
}

// mitigate queues the deletes that follow a create in doubt. They say no user, and
// a 202 is taken for the end of it: the operation is never asked for.
func (c *Controller) mitigate(call Call, r request) {
	c.mitigations++
	r.nobody = true
	attempt := 0
	c.enqueue(c.clock.Now(), "orphan mitigation", func(ctx context.Context) (time.Duration, bool) {
		attempt++
		a, err := c.send(ctx, r)
		if err == nil {
			_, err = read(call, a)
		}
		if err == nil || attempt == MitigationAttempts {
			if err != nil {
				c.orphans++
			}
			return 0, false
		}
		return time.Minute << attempt, true
	})
}

func (c *Controller) mitigateInstance(i *Instance) { c.mitigate(CallDeprovision, c.deprovision(i)) }
func (c *Controller) mitigateBinding(b *Binding)   { c.mitigate(CallUnbind, c.unbind(b)) }

// Mitigations counts the creates that were mitigated.
func (c *Controller) Mitigations() int { return c.mitigations }

// Orphans counts the mitigations that were given up: what they were about is now
// the broker's own to find.
func (c *Controller) Orphans() int { return c.orphans }
