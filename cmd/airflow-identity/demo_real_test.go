//go:build e2e

package main

import (
	"os"
	"strings"
	"testing"

	"airflow-identity/integration/real"
)

// TestRealDemo plays the story on real systems, as the README shows it.
func TestRealDemo(t *testing.T) {
	cache, err := real.Cache()
	if err != nil {
		t.Fatal(err)
	}
	r, err := playDemo([]string{real.CacheVariable + "=" + cache, "JAVA_HOME=" + os.Getenv("JAVA_HOME")}, "--real")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s\n%s", r.complaint, r.story)
	if r.code != 0 {
		t.Fatalf("exit code %d, want 0: %s", r.code, r.complaint)
	}
	tells(t, r.story, steady(blocks(t, document(t, "README.md"), "real")[0]))
	if !strings.Contains(r.story, "All as expected, in ") {
		t.Error("the story has no end")
	}
	r.leavesNothing(t)
}
