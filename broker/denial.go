package broker

import (
	"context"
	"errors"
	"log/slog"

	"airflow-identity/audit"
	"airflow-identity/catalog"
	"airflow-identity/identity"
)

// ruleSpace is the guardrail that an identity is never shared between spaces.
const ruleSpace = "own-space"

// refused are the guardrails behind an error; none if it is of another kind.
func refused(err error) []string {
	var parameters *catalog.ParametersError
	var notAllowed *catalog.NotAllowedError
	switch {
	case errors.As(err, &notAllowed):
		return notAllowed.Rules()
	case errors.As(err, &parameters):
		return parameters.Rules()
	case errors.Is(err, identity.ErrForeignSpace):
		return []string{ruleSpace}
	default:
		return nil
	}
}

// deny records a refusal by the guardrails: denied is audited like allowed. An
// event that cannot be written does not make the refusal undone; it is logged.
func (b *broker) deny(ctx context.Context, v verb, plan catalog.Plan, where audit.Where, err error) {
	rules := refused(err)
	if len(rules) == 0 {
		return
	}
	x := exchangeOf(ctx)
	where.Environment, where.Plan = string(plan.Environment), string(plan.ID)
	if err := b.engine.Deny(ctx, identity.Denial{
		Action: string(v),
		Rules:  rules,
		Where:  where,
		Origin: x.origin(plan.PolicyHash()),
	}); err != nil {
		b.logger.Error("a refusal could not be recorded",
			slog.String("request_id", x.requestID),
			slog.String("verb", string(v)),
			slog.Any("rules", rules),
			slog.Any("error", err),
		)
	}
}
