//go:build unix

package real

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// What is installed is what its line says, and README.md says what was run.
func TestTargetsArePinnedAndTold(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, told, found := strings.Cut(string(readme), "\n- Other versions than those that were run: ")
	if !found {
		t.Fatal("README.md does not say which versions were run")
	}
	told, _, _ = strings.Cut(told, "\n\n")
	for _, target := range Targets {
		if !strings.Contains(told, target.Version) {
			t.Errorf("README.md does not say that %s was run: %q", target, told)
		}
		if target.System != AirflowSystem {
			continue
		}
		if _, err := majorOf(target.Version); err != nil {
			t.Error(err)
		}
		text, err := pins(target.String())
		if err != nil {
			t.Error(err)
			continue
		}
		for _, want := range []string{"apache-airflow==" + target.Version + " ", "apache-airflow-providers-http==", "authlib=="} {
			if !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return strings.HasPrefix(line, want) }) {
				t.Errorf("the pins of %s have no line that begins with %q", target, want)
			}
		}
	}
}
