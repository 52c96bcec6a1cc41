package cloudcontroller

import (
	"fmt"
	"strconv"
	"strings"
)

// features is what a platform of one version of the Open Service Broker API knows
// of. Cloud Controller speaks 2.15 and already does some of what came after; the
// others are older Cloud Controllers, and what they may become.
//
//	version   what came with it
//	2.13      the originating identity, the context of a bind
//	2.14      GET of instances and bindings; bindings made and removed behind a 202
//	2.15      a request id; Retry-After and maximum_polling_duration are heeded;
//	          maintenance_info; renames are told
//	2.16      annotations in contexts; the GETs name service and plan; metadata of
//	          instances is kept
//	2.17      rotation by predecessor, which no Cloud Controller asks for
type features struct {
	fetches          bool
	asyncBindings    bool
	requestIdentity  bool
	pollingHints     bool
	maintenanceInfo  bool
	tellsRenames     bool
	annotations      bool
	fetchesWithHints bool
	instanceMetadata bool
}

// Versions are those that a Controller can speak.
var Versions = []string{"2.13", "2.14", "2.15", "2.16", "2.17"}

func featuresOf(version string) (features, error) {
	major, minorText, found := strings.Cut(version, ".")
	minor, err := strconv.Atoi(minorText)
	if !found || err != nil || major != "2" || minor < 13 || minor > 17 {
		return features{}, fmt.Errorf("API version %q: want one of %v", version, Versions)
	}
	since := func(first int) bool { return minor >= first }
	return features{
		fetches: since(14), asyncBindings: since(14),
		requestIdentity: since(15), pollingHints: since(15), maintenanceInfo: since(15), tellsRenames: since(15),
		annotations: since(16), fetchesWithHints: since(16), instanceMetadata: since(16),
	}, nil
}
