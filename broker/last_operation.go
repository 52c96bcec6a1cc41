package broker

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"airflow-identity/identity"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// pollAfter is how many seconds a platform should wait before it asks again. What
// is not done within a verb's budget waits for a remote system; Cloud Controller
// waits a minute anyway.
const pollAfter = "10"

// LastOperation answers GET /v2/service_instances/{instance_id}/last_operation. It
// goes on answering after the end. Neither service_id nor plan_id is looked at:
// some platforms send none, Cloud Controller names the former plan while it is
// changed, and it takes a 400 for the failure of the operation.
func (b *broker) LastOperation(ctx context.Context, instanceID string, details domain.PollDetails) (domain.LastOperation, error) {
	operation := identity.Operation(details.OperationData)
	progress, err := b.engine.InstanceProgress(ctx, identity.InstanceGUID(instanceID), operation)
	return b.lastOperation(exchangeOf(ctx), verbLastOperation, operation, progress, err)
}

// LastBindingOperation answers GET …/service_bindings/{binding_id}/last_operation,
// in the same way.
func (b *broker) LastBindingOperation(ctx context.Context, instanceID, bindingID string, details domain.PollDetails) (domain.LastOperation, error) {
	operation := identity.Operation(details.OperationData)
	progress, err := b.engine.BindingProgress(ctx, identity.InstanceGUID(instanceID), identity.BindingGUID(bindingID), operation)
	return b.lastOperation(exchangeOf(ctx), verbLastBindingOperation, operation, progress, err)
}

func (b *broker) lastOperation(x *exchange, v verb, operation identity.Operation, progress identity.Progress, err error) (domain.LastOperation, error) {
	if errors.Is(err, identity.ErrNotFound) && removes(operation) {
		// Its end is so long ago that nothing is known of it any more.
		err = answer{status: http.StatusGone}
	}
	if err != nil {
		return domain.LastOperation{}, b.fail(x, v, err)
	}
	if progress.State == identity.InProgress {
		x.header.Set("Retry-After", pollAfter)
	}
	description := progress.Description
	if description == "" {
		description = string(progress.State)
	}
	return domain.LastOperation{State: domain.LastOperationState(progress.State), Description: description}, nil
}

// removes tells whether an operation is the end of something: of those alone 410
// is an answer.
func removes(operation identity.Operation) bool {
	verb, _, _ := strings.Cut(string(operation), ":")
	return verb == "unbind" || verb == "deprovision"
}
