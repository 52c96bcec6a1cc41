package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"airflow-identity/integration/cloudcontroller"
)

// TestCloudFoundry is every command of the cf CLI that a broker hears of, or should
// not hear of, typed by somebody on platforms of each version.
func TestCloudFoundry(t *testing.T) {
	t.Parallel()
	for _, version := range cloudcontroller.Versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			everyCommand(t, version)
		})
	}
}

func everyCommand(t *testing.T, version string) {
	ctx := t.Context()
	w := newWorld(t, options{polling: 10 * time.Minute})
	u := w.cloudFoundry(w.broker().base, speaking(version))
	fetches, renames := version >= "2.14", version >= "2.15"

	if plans := u.Marketplace()[offeringName]; len(plans) != 1 || plans[0] != "prod" {
		t.Fatalf("cf marketplace: got %q, want plan prod", plans)
	}
	u.ok(u.CreateService(ctx, offeringName, "prod", "orders", object{"authorities": []string{"orders.read", "orders.write"}}), "cf create-service")
	u.shows("orders", "create succeeded")
	if version >= "2.16" && len(u.service("orders").Metadata) == 0 {
		t.Error("cf service: no metadata, so that plan and rotation period are not shown")
	}
	if fetches {
		told, err := u.ServiceParameters(ctx, "orders")
		u.ok(err, "cf service --params")
		if list, _ := told["authorities"].([]any); len(list) != 2 {
			t.Errorf("cf service --params: got %v, want both authorities", told)
		}
	}

	u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{Parameters: object{"authorities": []string{"orders.read"}}}), "cf bind-service")
	name := u.connection("etl", "orders")
	if name == "" || renames && name != "acme_orders" {
		t.Errorf("VCAP_SERVICES: connection %q, want acme_orders (a name of guids before 2.15)", name)
	}
	if fetches {
		told, err := u.BindingParameters(ctx, u.binding("etl", "orders").GUID)
		u.ok(err, "the binding's parameters")
		if list, _ := told["authorities"].([]any); len(list) != 1 {
			t.Errorf("the binding's parameters: got %v, want one authority", told)
		}
	}
	u.agrees()

	asked := len(u.Exchanges())
	u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service again")
	u.fails(u.UpgradeService(ctx, "orders"), cloudcontroller.Refused, "cf upgrade-service, of a plan without maintenance_info")
	u.ok(u.UpdateService(ctx, "orders", "prod", nil), "cf update-service -p with the plan that it has")
	if got := len(u.Exchanges()); got != asked {
		t.Errorf("the broker was asked %d times for nothing", got-asked)
	}

	// A refusal is told, nothing is made, and nothing is cleaned up.
	failure := u.fails(u.BindService(ctx, "sneaky", "orders", cloudcontroller.Bind{Parameters: object{"authorities": []string{"uaa.admin"}}}),
		cloudcontroller.RequestRejected, "cf bind-service with too much")
	if failure.Status != http.StatusBadRequest {
		t.Errorf("a guardrail: got %d, want 400", failure.Status)
	}
	u.ok(u.UnbindService(ctx, "sneaky", "orders"), "cf unbind-service of a bind that was refused")
	u.fails(u.CreateService(ctx, offeringName, "prod", "mistyped", object{"authorites": []string{"orders.read"}}), cloudcontroller.RequestRejected, "cf create-service with a typo")
	u.ok(u.DeleteService(ctx, "mistyped"), "cf delete-service of a create that was refused")
	u.mitigated(0)

	u.ok(u.RenameService(ctx, "orders", "renamed"), "cf rename-service")
	if renames {
		w.settle()
		if connection, _ := w.prod().airflow.Connection(name); !strings.Contains(connection.Description, "acme/prod/renamed") {
			t.Errorf("after the rename the connection says %q", connection.Description)
		}
	}
	u.shows("renamed", map[bool]string{true: "update succeeded", false: "create succeeded"}[renames])
	if fetches {
		told, err := u.ServiceParameters(ctx, "renamed")
		u.ok(err, "cf service --params")
		if list, _ := told["authorities"].([]any); len(list) != 2 {
			t.Errorf("after the rename cf service --params: got %v, want both authorities still", told)
		}
	}
	u.agrees()

	// A second binding of the same app joins the first one's connection, brings a
	// client of its own, and is what the app gets after a restage.
	u.ok(u.BindService(ctx, "etl", "renamed", cloudcontroller.Bind{Multiple: true, Parameters: object{
		"authorities": []string{"orders.read"}, "app_client": true, "expires_in": "24h",
	}}), "cf bind-service --strategy multiple")
	if len(u.Bindings("etl", "renamed")) != 2 {
		t.Fatalf("bindings: got %d, want 2", len(u.Bindings("etl", "renamed")))
	}
	given := u.VCAPServices("etl")["renamed"]
	if given["client_secret"] == nil || u.connection("etl", "renamed") != name {
		t.Errorf("the newest binding: connection %q, secret there: %t; want %q and a secret", u.connection("etl", "renamed"), given["client_secret"] != nil, name)
	}
	u.agrees()
	u.ok(u.CleanupOutdatedServiceBindings(ctx, "etl", 1), "cf cleanup-outdated-service-bindings")
	if left := u.binding("etl", "renamed"); left.Credentials["client_secret"] == nil {
		t.Error("cf cleanup-outdated-service-bindings: the newer binding went")
	}
	if _, found := w.prod().airflow.Connection(name); !found {
		t.Error("the connection went with the older of two bindings")
	}
	u.agrees()

	u.ok(u.UpdateService(ctx, "renamed", "", object{"authorities": []string{"orders.read"}}), "cf update-service -c")
	u.shows("renamed", "update succeeded")
	u.fails(u.UpdateService(ctx, "renamed", "", object{"authorities": []string{"payroll.read"}}), cloudcontroller.RequestRejected, "cf update-service -c with too much")
	u.shows("renamed", "update failed")
	u.agrees()

	u.ok(u.CreateServiceKey(ctx, "renamed", "ci", object{"airflow": false, "app_client": true, "expires_in": "720h"}), "cf create-service-key")
	key, err := u.ServiceKey("renamed", "ci")
	u.ok(err, "cf service-key")
	if id, _ := key["client_id"].(string); tokenStatus(w.prod().uaa.URL()+"/oauth/token", id, textOf(key["client_secret"])) != http.StatusOK {
		t.Error("cf service-key: UAA refuses the key")
	}
	u.ok(u.CreateServiceKey(ctx, "renamed", "dag", nil), "cf create-service-key")
	u.agrees()
	u.ok(u.DeleteServiceKey(ctx, "renamed", "ci"), "cf delete-service-key")
	if id, _ := key["client_id"].(string); tokenStatus(w.prod().uaa.URL()+"/oauth/token", id, textOf(key["client_secret"])) != http.StatusUnauthorized {
		t.Error("cf delete-service-key: the key still works")
	}
	u.agrees()

	u.ok(u.Push(ctx, "pushed", "renamed"), "cf push with services in the manifest")
	u.ok(u.UnbindService(ctx, "etl", "renamed"), "cf unbind-service")
	u.ok(u.UpdateServiceBroker(ctx), "cf update-service-broker")
	u.agrees()
	u.ok(u.DeleteService(ctx, "renamed"), "cf delete-service with an app and a key bound")
	if _, found := u.Service("renamed"); found || len(u.VCAPServices("pushed")) != 0 {
		t.Error("cf delete-service: something is left in Cloud Controller")
	}
	u.agrees()
	w.nothingLeft()

	u.ok(u.CreateService(ctx, offeringName, "prod", "orders", nil), "cf create-service under the old name")
	u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
	u.ok(u.DeleteApp(ctx, "etl"), "cf delete APP")
	u.ok(u.DeleteService(ctx, "orders"), "cf delete-service")
	u.agrees()
	w.nothingLeft()
	u.mitigated(0)
	if u.Pending() != 0 {
		t.Errorf("%d jobs are left in the queue", u.Pending())
	}
}

// TestCloudFoundryMovesBetweenEnvironments is refused, and nothing changes.
func TestCloudFoundryMovesBetweenEnvironments(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, options{dev: true})
	u := w.cloudFoundry(w.broker().base)
	u.ok(u.CreateService(ctx, offeringName, "prod", "orders", nil), "cf create-service")
	u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
	u.fails(u.UpdateService(ctx, "orders", "dev", nil), cloudcontroller.RequestRejected, "cf update-service -p dev")
	u.shows("orders", "update failed")
	if got := u.service("orders").Plan.Name; got != "prod" {
		t.Errorf("the plan: got %s, want prod still", got)
	}
	u.ok(u.BindService(ctx, "second", "orders", cloudcontroller.Bind{}), "cf bind-service after the refused update")
	u.agrees()
}

// TestCloudFoundryPurges: the broker is not told, and keeps what it has.
func TestCloudFoundryPurges(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, options{})
	u := w.cloudFoundry(w.broker().base)
	u.ok(u.CreateService(ctx, offeringName, "prod", "orders", nil), "cf create-service")
	u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
	asked := len(u.Exchanges())
	u.PurgeServiceInstance("orders")
	if got := len(u.Exchanges()); got != asked || len(u.LiveBindings()) != 0 {
		t.Errorf("cf purge-service-instance: %d calls, %d bindings left; want none", got-asked, len(u.LiveBindings()))
	}
	w.check() // and whatever is left is whole
	// The name is free, and what is left behind keeps its connection id.
	u.ok(u.CreateService(ctx, offeringName, "prod", "orders", nil), "cf create-service under the purged name")
	u.ok(u.BindService(ctx, "etl", "orders", cloudcontroller.Bind{}), "cf bind-service")
	if got := u.connection("etl", "orders"); got == "" || got == "acme_orders" {
		t.Errorf("the connection: got %q, want another id than that of what was purged", got)
	}
	w.check()
}

// TestCloudFoundryKeyExpires: Cloud Controller shows a key for ever as it was, and
// can still delete it.
func TestCloudFoundryKeyExpires(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t, options{})
	u := w.cloudFoundry(w.broker().base)
	u.ok(u.CreateService(ctx, offeringName, "prod", "orders", nil), "cf create-service")
	u.ok(u.CreateServiceKey(ctx, "orders", "ci", object{"app_client": true, "expires_in": "24h"}), "cf create-service-key")
	key, err := u.ServiceKey("orders", "ci")
	u.ok(err, "cf service-key")
	if key["expires_at"] == nil {
		t.Error("cf service-key does not say when it ends")
	}
	w.advance(25 * time.Hour)
	w.idle()
	if status := tokenStatus(w.prod().uaa.URL()+"/oauth/token", textOf(key["client_id"]), textOf(key["client_secret"])); status != http.StatusUnauthorized {
		t.Errorf("the key a day later: UAA answers %d, want 401", status)
	}
	b, _ := u.Key("orders", "ci")
	if _, err := u.BindingParameters(ctx, b.GUID); err != nil {
		t.Errorf("reading the binding of a key that ended: %v", err)
	}
	u.agrees()
	u.ok(u.DeleteServiceKey(ctx, "orders", "ci"), "cf delete-service-key")
	u.ok(u.DeleteService(ctx, "orders"), "cf delete-service")
	u.agrees()
	w.nothingLeft()
}

func textOf(value any) string {
	text, _ := value.(string)
	return text
}
