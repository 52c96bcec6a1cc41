package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestServeRefusesWhatRowsCannotLiveWith takes from the configuration what an
// instance depends on, one thing at a time.
func TestServeRefusesWhatRowsCannotLiveWith(t *testing.T) {
	t.Parallel()
	s := newStage(t, time.Duration(defaultTimeout), "dev")
	a := asker{t, s.broker(t, "broker-1"), &cast{stage: s}}
	a.must(http.StatusCreated, a.create("orders", nil))
	a.must(http.StatusCreated, a.bind("orders", "etl", nil))
	a.b.stop()
	good, err := loadConfig(s.configPath())
	if err != nil {
		t.Fatal(err)
	}
	back := func(config *Config) { *config = *good }
	withoutProd := func(config *Config) { config.Plans = config.Plans[1:] }

	for _, c := range []struct {
		name   string
		change func(*Config)
		says   []string
	}{
		{"a plan that is missing", withoutProd, []string{
			"1 service instance depends on plan " + s.state.Plans["prod"] + " of environment prod", "put it back (retired: true keeps it from new ones)",
		}},
		{"an environment that is missing", func(config *Config) {
			config.Plans[0].Environment = "dev"
			delete(config.Environments, "prod")
		}, []string{"1 service instance depends on environment prod"}},
		{"a plan of another environment", func(config *Config) {
			config.Plans[0].Environment = "dev"
		}, []string{"plan prod is of environment dev now", "an instance never moves between environments"}},
		{"another Airflow", func(config *Config) {
			env := config.Environments["prod"]
			env.Airflow.URL = "https://airflow.example.com"
			config.Environments["prod"] = env
		}, []string{"environment prod has its Airflow at https://airflow.example.com now", "put the old address back"}},
	} {
		s.reconfigure(t, c.change)
		p := run(t, s.serving("0"), "serve")
		if code := p.exitCode(patience); code != exitMisconfigured {
			t.Errorf("%s: exit code %d, want 2", c.name, code)
		}
		for _, says := range c.says {
			if !strings.Contains(p.stderr.String(), says) {
				t.Errorf("%s: %s does not say %q", c.name, p.stderr.String(), says)
			}
		}
		s.reconfigure(t, back)
	}

	// A plan that nothing lives by any more may go.
	a.b = s.broker(t, "broker-2")
	a.must(http.StatusOK, a.unbind("orders", "etl"))
	path, _ := a.c.create("prod", "orders", nil)
	a.must(http.StatusOK, a.send(http.MethodDelete, path+a.c.ids("prod"), nil))
	a.b.stop()
	s.reconfigure(t, withoutProd)
	s.broker(t, "broker-3").stop()
}
