package integration

import (
	"slices"
	"strings"
	"testing"

	"airflow-identity/integration/standin/uaa"
)

// TestUAAThatForgets: where UAA tells nobody's keys again, rows alone say whose a client
// is. No sweep takes that for drift, and a client that no row knows is told of and left.
func TestUAAThatForgets(t *testing.T) {
	t.Parallel()
	options := patient
	options.uaa = func(c *uaa.Config) { c.Forgets = true }
	o := newWorld(t, options).operator()
	p := o.broker()
	all := o.bound(p.platform, 2)
	for _, s := range all {
		client, found := o.prod().uaa.Client(s.client)
		if !found || len(client.AdditionalInformation) != 1 || client.AdditionalInformation["name"] == "" {
			t.Fatalf("this UAA does not forget: %v", client.AdditionalInformation)
		}
	}
	before := o.mutations()

	o.sweeps()
	o.sweeps()

	if now := o.mutations(); now != before {
		t.Errorf("sweeps changed\n%s\nto\n%s", before, now)
	}
	if told := o.orphansTold(); len(told) > 0 {
		t.Errorf("there is no orphan, and the log tells of one: %s", told)
	}

	// What is wrong is still mended.
	if !o.prod().uaa.SetAuthorities(all[0].client, "orders.write") {
		t.Fatal("the client is not there")
	}
	o.sweeps()
	if client, _ := o.prod().uaa.Client(all[0].client); !slices.Equal(client.Authorities, []string{"orders.read"}) {
		t.Errorf("an edited client has %q, want it mended", client.Authorities)
	}

	const orphan = "afi-00000000-0000-4000-8000-00000000000a"
	if err := o.prod().uaa.AddClient(uaa.Client{ID: orphan, Secret: "nobody-knows-it-77c", Authorities: []string{"orders.read"}}); err != nil {
		t.Fatal(err)
	}
	o.sweeps()
	o.sweeps()
	if _, found := o.prod().uaa.Client(orphan); !found {
		t.Error("a client that no row knows was taken away")
	}
	if told := o.orphansTold(); len(told) != 2 || !strings.Contains(told[0], orphan) || !strings.Contains(told[0], `"count":1`) {
		t.Errorf("the log tells of orphans so, want one line for each sweep that names it:\n%s", strings.Join(told, "\n"))
	}

	o.prod().uaa.RemoveClient(orphan)
	o.unbindAll(p.platform, all...)
	o.check()
}

// orphansTold are the lines of the log about clients that no row knows.
func (o *operator) orphansTold() []string {
	return slices.DeleteFunc(strings.Split(o.log.String(), "\n"), func(line string) bool {
		return !strings.Contains(line, "clients are there that no row knows")
	})
}
