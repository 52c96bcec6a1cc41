package broker

import (
	"net/http"

	"github.com/pivotal-cf/brokerapi/v11/domain"
)

// refuseMaintenanceInfo: no plan has any, so a version that is asked for is
// another one than the catalog's. One without a version is none: there are
// clients that always send an empty object.
func refuseMaintenanceInfo(info *domain.MaintenanceInfo) error {
	if info == nil || info.Version == "" {
		return nil
	}
	return answer{http.StatusUnprocessableEntity, "MaintenanceInfoConflict",
		"maintenance_info was sent, but no plan of this broker has any; fetch the catalog again with cf update-service-broker"}
}
