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
	v, err := e.Store.View(ctx, b.Identity)
	if err != nil {
		return Bound{}, err
	}
	if v.Instance.GUID != instance || v.Instance.Row != b.Instance {
		return Bound{}, ErrNotFound
	}
	return Bound{Binding: b, Identity: v.Identity, Instance: v.Instance}, nil
}
