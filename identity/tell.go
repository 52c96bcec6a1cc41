package identity

import "context"

// FindInstance tells of an instance. ErrNotFound: there is none, or it is being
// removed.
func (e *Engine) FindInstance(ctx context.Context, guid InstanceGUID) (Instance, error) {
	instance, found, err := e.Store.Instance(ctx, guid)
	if err != nil {
		return Instance{}, err
	}
	if !found || instance.RemovingAt != nil {
		return Instance{}, ErrNotFound
	}
	return instance, nil
}

// FindBinding tells of a binding that succeeded. ErrNotFound: there is none in
// that instance, it is still being made, or it is being removed.
func (e *Engine) FindBinding(ctx context.Context, instance InstanceGUID, guid BindingGUID) (Bound, error) {
	b, found, err := e.Store.Binding(ctx, guid)
	if err != nil {
		return Bound{}, err
	}
	if !found || b.SucceededAt == nil || !b.Live(e.Clock()) {
		return Bound{}, ErrNotFound
	}
	bound, err := e.bound(ctx, b)
	if err != nil {
		return Bound{}, err
	}
	if bound.Instance.GUID != instance {
		return Bound{}, ErrNotFound
	}
	return bound, nil
}
