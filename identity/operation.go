package identity

import (
	"context"
	"fmt"
	"strings"
)

// Operation names what the platform polls for. It is told verbatim and read back
// leniently: some platforms send none, or one of their own.
type Operation string

const (
	opBind        = "bind"
	opUnbind      = "unbind"
	opUpdate      = "update"
	opDeprovision = "deprovision"
)

func operation(verb string, row RowID) Operation { return Operation(verb + ":" + string(row)) }

func updateOperation(i Instance) Operation {
	return Operation(fmt.Sprintf("%s:%s:%d", opUpdate, i.Row, i.Updates))
}

func (o Operation) verb() string {
	verb, _, _ := strings.Cut(string(o), ":")
	return verb
}

// PendingError says that a verb goes on behind the answer.
type PendingError struct{ Operation Operation }

func (e *PendingError) Error() string { return "it goes on as operation " + string(e.Operation) }

// State is where an operation is.
type State string

const (
	InProgress State = "in progress"
	Succeeded  State = "succeeded"
	Failed     State = "failed"
)

// Progress is what last_operation tells.
type Progress struct {
	State       State
	Description string // one sentence; never an internal error text
}

// BindingProgress tells how a binding's last operation stands. It goes on
// answering after the end, as long as the tombstone is kept. ErrNotFound: there
// never was such a binding in that instance.
func (e *Engine) BindingProgress(ctx context.Context, instance InstanceGUID, guid BindingGUID, op Operation) (Progress, error) {
	b, found, err := e.Store.Binding(ctx, guid)
	if err != nil {
		return Progress{}, err
	}
	if !found {
		return Progress{}, ErrNotFound
	}
	i, found, err := e.Store.Instance(ctx, instance)
	if err != nil {
		return Progress{}, err
	}
	if !found || i.Row != b.Instance {
		return Progress{}, ErrNotFound
	}
	removal := b.UnboundAt != nil
	if op.verb() == opBind && removal {
		return Progress{Failed, "the binding was removed while it was being made"}, nil
	}
	switch {
	case removal && b.RemovedAt != nil:
		return Progress{Succeeded, "the binding and everything that belonged to it is gone"}, nil
	case removal:
		return Progress{InProgress, "being removed"}, nil
	case b.FailedAt != nil:
		return Progress{Failed, b.Failure.Message}, nil
	case b.SucceededAt != nil:
		return Progress{Succeeded, "the identity is there and registered"}, nil
	case !b.Live(e.Clock()):
		return Progress{Failed, lateFailure.Message}, nil
	default:
		return Progress{InProgress, "being made"}, nil
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// InstanceProgress tells how an instance's last operation stands. ErrNotFound:
// there never was such an instance.
func (e *Engine) InstanceProgress(ctx context.Context, guid InstanceGUID, op Operation) (Progress, error) {
	i, found, err := e.Store.Instance(ctx, guid)
	if err != nil {
		return Progress{}, err
	}
	if !found {
		return Progress{}, ErrNotFound
	}
	if i.RemovingAt != nil {
		left, err := e.Store.LiveBindings(ctx, i.Row)
		switch {
		case err != nil:
			return Progress{}, err
		case left > 0:
			return Progress{InProgress, "being removed, with " + count(left, "binding", "bindings") + " left"}, nil
		default:
			return Progress{Succeeded, "the instance and all its bindings are gone"}, nil
		}
	}
	outdated, err := e.Store.Outdated(ctx, i.Row)
	switch {
	case err != nil:
		return Progress{}, err
	case outdated > 0 && i.UpdateBy != nil && !e.Clock().Before(*i.UpdateBy):
		return Progress{Failed, "the update was not finished in time and goes on: " + count(outdated, "identity is", "identities are") + " still to be changed"}, nil
	case outdated > 0:
		return Progress{InProgress, count(outdated, "identity is", "identities are") + " still to be changed"}, nil
	default:
		return Progress{Succeeded, "every identity is as the instance says"}, nil
	}
}
