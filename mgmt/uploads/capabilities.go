package uploads

import (
	"net/http"

	"github.com/edged/edged/pkg/client/wire"
	"github.com/edged/edged/pkg/httpapi"
)

// known are the capabilities that packers know.
var known = []wire.PackageCapability{
	{Name: "types", Description: "it has data types of its own"},
	{Name: "no_multi_key", Description: "none of its commands works on several keys"},
	{Name: "replica_of", Description: "it works in a database that is replicated from or to another"},
	{Name: "backup_restore", Description: "its data can be exported and imported"},
	{Name: "eviction_expiry", Description: "its keys can be evicted and can expire"},
	{Name: "reshard_rebalance", Description: "it works in a database that is sharded anew"},
	{Name: "failover_migrate", Description: "it works in a database that fails over or moves"},
	{Name: "persistence_aof", Description: "its data is kept by an append-only file"},
	{Name: "persistence_rdb", Description: "its data is kept by snapshots"},
	{Name: "hash_policy", Description: "it works in a database with a hash policy of the user's"},
	{Name: "flash", Description: "it works in a database that keeps values on flash"},
	{Name: "crdb", Description: "it works in a database that is written in several places"},
	{Name: "clustering", Description: "it works in a database whose shards move"},
	{Name: "intershard_tls", Description: "its shards speak to each other by TLS"},
	{Name: "intershard_tls_pass", Description: "its shards speak to each other by TLS with a password"},
	{Name: "ipv6", Description: "its shards speak to each other by IPv6"},
}

func (a *api) capabilities(w http.ResponseWriter, _ *httpapi.Request) error {
	httpapi.WriteJSON(w, http.StatusOK, wire.PackageCapabilities{AllCapabilities: known})
	return nil
}
