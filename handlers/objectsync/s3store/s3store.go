// Package s3store keeps objects in a bucket of any service that speaks S3: AWS, Tencent
// COS, MinIO, Alibaba OSS, R2, Ceph. It is the one package of this module that compiles an
// object store's client, minio-go.
package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
)

// The metadata of an object: x-amz-meta-sluicegate-version and -sha256.
const (
	metaVersion = "Sluicegate-Version"
	metaHash    = "Sluicegate-Sha256"
)

// Config of New. The zero value is for a bucket of AWS with the credentials of the
// environment.
type Config struct {
	// Credentials, such as credentials.NewStaticV4(id, secret, ""). Default: those in
	// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else those of the machine's role.
	Credentials *credentials.Credentials
	// Region of the bucket. Default: the service is asked.
	Region string
	// PathStyle has the bucket in the path of the URL, for services that know no
	// bucket in the name of the host. Default: told from the endpoint.
	PathStyle bool
	// Unconditional writes without If-Match and If-None-Match, for a service that refuses
	// them. A worker that was frozen past its lease can then overwrite a newer
	// object, until it finds that out itself and has it written again.
	Unconditional bool
	// Transport of the requests. Default: minio-go's.
	Transport http.RoundTripper
}

// Store is an objectsync.Store and objectsync.Conditional on a bucket. It is safe for concurrent
// use. A request is made once: the tries are the Syncer's.
type Store struct {
	client *minio.Client
	bucket string
	cfg    Config
}

// New returns a store in a bucket that exists, at an endpoint such as
// "https://cos.ap-guangzhou.myqcloud.com" or "http://127.0.0.1:9000". Nothing is
// asked here.
func New(endpoint, bucket string, cfg Config) (*Store, error) {
	var errs []error
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		errs = append(errs, errors.New("endpoint: use an http or https URL"))
	case u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		errs = append(errs, errors.New("endpoint: use a URL of scheme and host alone"))
	}
	if bucket == "" {
		errs = append(errs, errors.New("bucket: must not be empty"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure s3store: %w", err)
	}
	if cfg.Credentials == nil {
		cfg.Credentials = credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.IAM{}})
	}
	lookup := minio.BucketLookupAuto
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: cfg.Credentials, Secure: u.Scheme == "https", Region: cfg.Region, BucketLookup: lookup, Transport: cfg.Transport, MaxRetries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("configure s3store: endpoint: %w", err)
	}
	return &Store{client: client, bucket: bucket, cfg: cfg}, nil
}

// Put implements objectsync.Store, in one request.
func (s *Store) Put(ctx context.Context, key string, b objectsync.Blob) (objectsync.Info, error) {
	return s.put(ctx, key, b, minio.PutObjectOptions{})
}

// PutIf implements objectsync.Conditional. With Config.Unconditional it is Put.
func (s *Store) PutIf(ctx context.Context, key string, b objectsync.Blob, etag string) (objectsync.Info, error) {
	var opts minio.PutObjectOptions
	switch {
	case s.cfg.Unconditional:
	case etag == "":
		opts.SetMatchETagExcept("*")
	default:
		opts.SetMatchETag(etag)
	}
	return s.put(ctx, key, b, opts)
}

func (s *Store) put(ctx context.Context, key string, b objectsync.Blob, opts minio.PutObjectOptions) (objectsync.Info, error) {
	if err := objectsync.CheckKey(key); err != nil {
		return objectsync.Info{}, err //nolint:wrapcheck // it says what it is
	}
	opts.ContentType = b.ContentType
	opts.UserMetadata = map[string]string{metaVersion: strconv.FormatInt(b.Version, 10), metaHash: b.Hash}
	opts.DisableMultipart = true // an object is there whole or not at all, and its ETag is that of its bytes
	// Without TLS, minio-go signs bodies in chunks, and sends an empty one without a length, which services refuse.
	opts.DisableContentSha256 = len(b.Body) == 0
	up, err := s.client.PutObject(ctx, s.bucket, key, bytes.NewReader(b.Body), int64(len(b.Body)), opts)
	if err != nil {
		return objectsync.Info{}, fail(ctx, "put", err)
	}
	return objectsync.Info{
		Key: key, Size: int64(len(b.Body)), ETag: up.ETag, Modified: up.LastModified, Version: b.Version, Hash: b.Hash,
	}, nil
}

// Get implements objectsync.Store.
func (s *Store) Get(ctx context.Context, key string) (b objectsync.Blob, info objectsync.Info, err error) {
	if err := objectsync.CheckKey(key); err != nil {
		return b, info, err //nolint:wrapcheck // it says what it is
	}
	o, err := s.client.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return b, info, fail(ctx, "get", err)
	}
	defer func() { _ = o.Close() }() // what was read is whole, by its length
	body, err := io.ReadAll(o)
	if err != nil {
		return b, info, fail(ctx, "get", err)
	}
	stat, err := o.Stat()
	if err != nil {
		return b, info, fail(ctx, "get", err)
	}
	info = tell(stat)
	return objectsync.Blob{Body: body, ContentType: stat.ContentType, Version: info.Version, Hash: info.Hash}, info, nil
}

// Stat implements objectsync.Store.
func (s *Store) Stat(ctx context.Context, key string) (objectsync.Info, error) {
	if err := objectsync.CheckKey(key); err != nil {
		return objectsync.Info{}, err //nolint:wrapcheck // it says what it is
	}
	stat, err := s.client.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return objectsync.Info{}, fail(ctx, "stat", err)
	}
	return tell(stat), nil
}

// Delete implements objectsync.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := objectsync.CheckKey(key); err != nil {
		return err //nolint:wrapcheck // it says what it is
	}
	err := fail(ctx, "delete", s.client.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{}))
	if errors.Is(err, objectsync.ErrNotFound) {
		return nil
	}
	return err
}

// List implements objectsync.Store, in one request.
func (s *Store) List(ctx context.Context, r objectsync.ListRequest) (objectsync.Page, error) {
	listing, cancel := context.WithCancel(ctx)
	defer cancel() // minio-go wants it where a listing is left early
	var p objectsync.Page
	for o := range s.client.ListObjectsIter(listing, s.bucket, minio.ListObjectsOptions{
		Prefix: r.Prefix, StartAfter: r.After, MaxKeys: r.Limit, Recursive: true,
	}) {
		if o.Err != nil {
			return objectsync.Page{}, fail(ctx, "list", o.Err)
		}
		p.Items = append(p.Items, objectsync.Info{Key: o.Key, Size: o.Size, ETag: o.ETag, Modified: o.LastModified})
		if len(p.Items) == r.Limit {
			p.More = true
			break
		}
	}
	if ctx.Err() != nil { // which minio-go takes for the end of the list
		return objectsync.Page{}, fail(ctx, "list", ctx.Err())
	}
	return p, nil
}

func tell(o minio.ObjectInfo) objectsync.Info {
	version, _ := strconv.ParseInt(o.UserMetadata[metaVersion], 10, 64) // what others wrote has none
	return objectsync.Info{
		Key: o.Key, Size: o.Size, ETag: o.ETag, Modified: o.LastModified, Version: version, Hash: o.UserMetadata[metaHash],
	}
}
