package devstack

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const (
	// readyWithin is how long the services may take to start.
	readyWithin = time.Minute
	// readyRetry is the pause between two looks.
	readyRetry = 10 * time.Millisecond
	// frontendHealth is the name under which the frontend reports its health.
	frontendHealth = "temporal.api.workflowservice.v1.WorkflowService"
)

// waitUntilReady returns when the frontend serves and a search by one of our
// attributes is understood.
func (s *Stack) waitUntilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	conn, err := grpc.NewClient(s.Frontend(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("reach the frontend: %w", err)
	}
	defer func() { _ = conn.Close() }() // nothing was sent that could be lost
	var last error
	for ctx.Err() == nil {
		if last = s.probe(ctx, conn); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(readyRetry):
		}
	}
	return fmt.Errorf("temporal did not become ready within %s: %w", readyWithin, last)
}

func (s *Stack) probe(ctx context.Context, conn *grpc.ClientConn) error {
	health, err := grpc_health_v1.NewHealthClient(conn).Check(ctx,
		&grpc_health_v1.HealthCheckRequest{Service: frontendHealth}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	if health.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("frontend is %s", health.Status)
	}
	_, err = workflowservice.NewWorkflowServiceClient(conn).CountWorkflowExecutions(ctx,
		&workflowservice.CountWorkflowExecutionsRequest{
			Namespace: s.config.Namespace,
			Query:     fmt.Sprintf("%s = 'none'", SearchAttributes[0]),
		})
	return err
}
