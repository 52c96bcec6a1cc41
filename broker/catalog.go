package broker

import (
	"context"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// Services answers GET /v2/catalog.
func (b *broker) Services(context.Context) ([]domain.Service, error) {
	return b.catalog.Services(), nil
}
