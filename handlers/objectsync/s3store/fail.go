package s3store

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

// fail says what kind of error it is. The service's own text is left out where it could hold
// more than its code: it may repeat the request.
func fail(ctx context.Context, verb string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s object: %w", verb, context.Cause(ctx))
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s object: %w", verb, err) // of the network, which objectsync knows
	}
	switch {
	case answer.Code == minio.NoSuchKey:
		return fmt.Errorf("%s object: %w", verb, objectsync.ErrNotFound)
	case answer.StatusCode == http.StatusPreconditionFailed, answer.Code == minio.PreconditionFailed, answer.Code == "ConditionalRequestConflict":
		return fmt.Errorf("%s object: %w", verb, objectsync.ErrChanged)
	}
	refused := fmt.Errorf("%s object: the service answered %d %s", verb, answer.StatusCode, answer.Code)
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return objectsync.Unavailable(refused)
	}
	return refused
}
