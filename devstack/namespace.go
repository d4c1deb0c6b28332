package devstack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	persistencespb "go.temporal.io/server/api/persistence/v1"
	"go.temporal.io/server/common"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/common/persistence/serialization"
	"go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/common/resolver"
	"google.golang.org/protobuf/types/known/durationpb"
)

// SearchAttributes are the keywords by which workflows are found, all of type
// Keyword.
var SearchAttributes = []string{
	"CCTenant", "CCQueue", "CCAgent", "CCAgentState", "CCCallPhase", "CCDirection",
}

// columns is how many keyword columns the visibility schema has (Keyword01 to
// Keyword10), and so how many attributes a namespace may have.
const columns = 10

// prepareNamespace registers the namespace with its search attributes, or adds
// what is missing to it. It writes the database before the server runs, so that
// the first request already finds everything: by the API, each service would
// notice at its next refresh only.
func (c Config) prepareNamespace(ctx context.Context, logger log.Logger) error {
	serializer := serialization.NewSerializer()
	factory := sql.NewFactory(*c.store(c.Database), resolver.NewNoopResolver(), clusterName, logger,
		metrics.NoopMetricsHandler, serializer)
	defer factory.Close()
	store, err := factory.NewMetadataStore()
	if err != nil {
		return fmt.Errorf("open the namespaces: %w", err)
	}
	defer store.Close()
	manager := persistence.NewMetadataManagerImpl(store, serializer, logger, clusterName)

	existing, err := manager.GetNamespace(ctx, &persistence.GetNamespaceRequest{Name: c.Namespace})
	var missing *serviceerror.NamespaceNotFound
	switch {
	case errors.As(err, &missing):
		err = c.createNamespace(ctx, manager)
	case err != nil:
		return fmt.Errorf("read namespace %s: %w", c.Namespace, err)
	default:
		err = c.updateNamespace(ctx, manager, existing)
	}
	if err != nil {
		return err
	}
	present, err := manager.GetNamespace(ctx, &persistence.GetNamespaceRequest{Name: c.Namespace})
	if err != nil {
		return fmt.Errorf("read namespace %s: %w", c.Namespace, err)
	}
	return c.fitIndexes(ctx, present.Namespace.Config.CustomSearchAttributeAliases)
}

func (c Config) createNamespace(ctx context.Context, manager persistence.MetadataManager) error {
	aliases, err := assignColumns(nil, SearchAttributes)
	if err != nil {
		return err
	}
	_, err = manager.CreateNamespace(ctx, &persistence.CreateNamespaceRequest{
		Namespace: &persistencespb.NamespaceDetail{
			Info: &persistencespb.NamespaceInfo{
				Id:          primitives.NewUUID().String(),
				Name:        c.Namespace,
				State:       enumspb.NAMESPACE_STATE_REGISTERED,
				Description: "Holdfast: agent sessions and calls",
			},
			Config: &persistencespb.NamespaceConfig{
				Retention:                    durationpb.New(c.Retention),
				HistoryArchivalState:         enumspb.ARCHIVAL_STATE_DISABLED,
				VisibilityArchivalState:      enumspb.ARCHIVAL_STATE_DISABLED,
				CustomSearchAttributeAliases: aliases,
			},
			ReplicationConfig: &persistencespb.NamespaceReplicationConfig{
				ActiveClusterName: clusterName,
				Clusters:          []string{clusterName},
			},
			FailoverVersion:             common.EmptyVersion,
			FailoverNotificationVersion: -1,
		},
	})
	if err != nil {
		return fmt.Errorf("register namespace %s: %w", c.Namespace, err)
	}
	return nil
}

// updateNamespace adds search attributes that an older build did not know, and
// follows a changed retention.
func (c Config) updateNamespace(
	ctx context.Context, manager persistence.MetadataManager, existing *persistence.GetNamespaceResponse,
) error {
	detail := existing.Namespace
	aliases, err := assignColumns(detail.Config.CustomSearchAttributeAliases, SearchAttributes)
	if err != nil {
		return err
	}
	if maps.Equal(aliases, detail.Config.CustomSearchAttributeAliases) &&
		detail.Config.Retention.AsDuration() == c.Retention {
		return nil
	}
	metadata, err := manager.GetMetadata(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the namespaces: %w", err)
	}
	detail.Config.CustomSearchAttributeAliases = aliases
	detail.Config.Retention = durationpb.New(c.Retention)
	detail.ConfigVersion++
	err = manager.UpdateNamespace(ctx, &persistence.UpdateNamespaceRequest{
		Namespace:           detail,
		IsGlobalNamespace:   existing.IsGlobalNamespace,
		NotificationVersion: metadata.NotificationVersion,
	})
	if err != nil {
		return fmt.Errorf("update namespace %s: %w", c.Namespace, err)
	}
	return nil
}

// assignColumns returns the map from keyword column to attribute, with every
// wanted attribute in it: those that have a column keep it, the others get the
// first free ones.
func assignColumns(have map[string]string, wanted []string) (map[string]string, error) {
	assigned := maps.Clone(have)
	if assigned == nil {
		assigned = map[string]string{}
	}
	known := slices.Collect(maps.Values(assigned))
	next := 1
	for _, name := range wanted {
		if slices.Contains(known, name) {
			continue
		}
		for assigned[column(next)] != "" {
			next++
		}
		if next > columns {
			return nil, fmt.Errorf("no keyword column is left for search attribute %s: a namespace has %d", name, columns)
		}
		assigned[column(next)] = name
	}
	return assigned, nil
}

func column(n int) string { return fmt.Sprintf("Keyword%02d", n) }
