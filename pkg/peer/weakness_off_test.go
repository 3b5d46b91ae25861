//go:build !weakened

package peer

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShippedBuildsHaveNoWeakness(t *testing.T) {
	require.Zero(t, reflect.TypeFor[weakened]().Size())
	_, found := reflect.TypeFor[Config]().FieldByName("Weakness")
	require.False(t, found)
}
