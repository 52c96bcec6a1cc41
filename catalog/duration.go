package catalog

import (
	"strings"
	"time"
)

// durationGrammar is that part of Go's durations that has one reading for
// everybody: whole hours, minutes and seconds, in this order.
const (
	durationGrammar = `^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$`
	noDuration      = `^[0hms]*$`
	longestDuration = 21
)

// Duration is a duration as it is written in parameters: "4h", "1h30m".
type Duration time.Duration

// UnmarshalText reads what the schema has passed.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// String leaves out what is nothing: "4h", where Go says "4h0m0s".
func (d Duration) String() string {
	said := time.Duration(d).String()
	if strings.HasSuffix(said, "m0s") {
		said = strings.TrimSuffix(said, "0s")
	}
	if strings.HasSuffix(said, "h0m") {
		said = strings.TrimSuffix(said, "0m")
	}
	return said
}
