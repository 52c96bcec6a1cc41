package identity

import (
	"testing"
	"time"
)

// TestFoundClientIsAsItShouldBe: a sweep doubts what is not, so a UAA that keeps no labels
// must not have every client doubted for ever.
func TestFoundClientIsAsItShouldBe(t *testing.T) {
	t.Parallel()
	want := Client{
		ID: "afi-1", Name: "Airflow connection a (prod)", Authorities: []Authority{"orders.read"}, TokenLifetime: time.Minute,
		Labels: map[string]string{"afi_broker": "b", "afi_identity": "1"},
	}
	tests := []struct {
		name string
		edit func(*FoundClient)
		want bool
	}{
		{"as it was made", func(*FoundClient) {}, true},
		{"with a label of others", func(f *FoundClient) { f.Labels["token_salt"] = "x" }, true},
		{"of a UAA that keeps no labels", func(f *FoundClient) { f.Labels = nil }, true},
		{"of a UAA that keeps none but its own", func(f *FoundClient) { f.Labels = map[string]string{"token_salt": "x"} }, true},
		{"of a UAA that keeps no name either", func(f *FoundClient) { f.Labels, f.Name = nil, "" }, true},
		{"without one label", func(f *FoundClient) { delete(f.Labels, "afi_broker") }, false},
		{"with the label of another", func(f *FoundClient) { f.Labels["afi_broker"] = "c" }, false},
		{"without a name", func(f *FoundClient) { f.Name = "" }, false},
		{"without labels, and with another name", func(f *FoundClient) { f.Labels, f.Name = nil, "mine" }, false},
		{"without labels, and with more authorities", func(f *FoundClient) { f.Labels, f.Authorities = nil, append(f.Authorities, "orders.write") }, false},
		{"without labels, and with another life", func(f *FoundClient) { f.Labels, f.TokenLifetime = nil, time.Hour }, false},
		{"without labels, and with a scope", func(f *FoundClient) { f.Labels, f.Plain = nil, false }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			found := FoundClient{Client: want, Plain: true}
			found.Labels = map[string]string{"afi_broker": "b", "afi_identity": "1"}
			found.Authorities = []Authority{"orders.read"}
			test.edit(&found)
			if got := found.is(want); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}
