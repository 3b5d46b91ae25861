package wire

import (
	"testing"

	"github.com/edged/edged/contrib/openapi/openapitest"
	"github.com/edged/edged/pkg/deployment"
)

// TestTheDocumentsHaveTheseShapes: a member that is new here is new there. What a request and
// its answer have apart in one type, Settings with Auth and Secret, the tests of package mgmt hold.
func TestTheDocumentsHaveTheseShapes(t *testing.T) {
	for document, shapes := range map[string]struct{ answers, requests map[string]any }{
		"management.yaml": {
			map[string]any{
				"Module": Module{}, "ModuleList": ModuleList{}, "Config": Config{}, "EnvVar": EnvVar{}, "ModuleStatus": ModuleStatus{}, "ExitStatus": ExitStatus{}, "RuntimeStatus": RuntimeStatus{},
				"Identity": Identity{}, "IdentityList": IdentityList{}, "Volume": Volume{}, "VolumeList": VolumeList{}, "VolumesPruned": VolumesPruned{},
				"NetworkList": NetworkList{}, "Network": Network{}, "NetworkModule": NetworkModule{}, "NetworkPort": NetworkPort{},
				"SystemInfo": SystemInfo{}, "Provisioning": Provisioning{}, "SystemResources": SystemResources{}, "Disk": Disk{}, "LogLevel": LogLevel{},
				"Image": Image{}, "ImageList": ImageList{}, "PullStatus": PullStatus{}, "ImagesPruned": ImagesPruned{}, "RemovedImage": RemovedImage{}, "Event": Event{},
				"SealAnswer": SealAnswer{}, "DeviceCA": DeviceCA{}, "CACertificate": CACertificate{}, "Error": Error{},
				"Deployment": Deployment{}, "DeploymentStatus": deployment.Status{}, "DeploymentModule": deployment.Module{}, "DeploymentEntry": deployment.Entry{},
				"DeploymentManifest": DeploymentManifest{}, "DeploymentPut": DeploymentPut{}, "AuditPage": AuditPage{}, "AuditEvent": AuditEvent{},
			},
			map[string]any{
				"ModuleSpec": ModuleSpec{}, "ConfigSpec": Config{}, "SettingsSpec": Settings{}, "Settings": Settings{}, "Auth": Auth{}, "Secret": Secret{}, "SecretShown": Secret{},
				"SealRequest": SealRequest{}, "ImagePull": ImagePull{}, "ImagePrune": ImagePrune{}, "DeploymentSpec": DeploymentSpec{},
			},
		},
		"workload.yaml": {map[string]any{"Module": Module{}, "ModuleList": ModuleList{}, "ModuleStatus": ModuleStatus{}, "RuntimeStatus": RuntimeStatus{}, "Error": Error{}}, nil},
		"uploads.yaml": {map[string]any{
			"Package": PackageModule{}, "PackageAdded": PackageAdded{}, "PackageRemoved": PackageRemoved{}, "PackageFacts": PackageFacts{}, "Dependency": PackageDependency{}, "Platform": PackagePlatform{},
			"Action": PackageAction{}, "Capabilities": PackageCapabilities{}, "Capability": PackageCapability{}, "Error": PackageError{},
		}, nil},
		"catalog.yaml": {nil, map[string]any{"Build": Build{}, "Dependency": BuildDep{}}},
		"bundles.yaml": {
			map[string]any{
				"BundleName": BundleInfo{}, "Operation": BundleOperation{}, "BundleState": BundleState{}, "NodeError": BundleNodeError{}, "Error": BundleError{},
				"PersistentState": BundlePersistentState{}, "Bundle": Bundle{}, "Bundles": BundleList{},
			},
			map[string]any{"PersistentStateSpec": BundlePersistentState{}},
		},
	} {
		d := openapitest.Open(document)(t)
		for schema, v := range shapes.answers {
			d.Shape(t, schema, v, true)
		}
		for schema, v := range shapes.requests {
			d.Shape(t, schema, v, false)
		}
	}
}
