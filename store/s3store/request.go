package s3store

import (
	"context"
	"mime"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/cubby-storage/cubby/store"
)

type requestOption = func(*s3.Options)

// header sets headers for which the SDK has no field, or one of another type.
// A value of "" removes what the SDK would send by itself.
func header(nameValues ...string) requestOption {
	return func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Build.Add(middleware.BuildMiddlewareFunc("CubbyHeaders", func(
				ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler,
			) (middleware.BuildOutput, middleware.Metadata, error) {
				if r, ok := in.Request.(*smithyhttp.Request); ok {
					for i := 0; i+1 < len(nameValues); i += 2 {
						if nameValues[i+1] == "" {
							r.Header.Del(nameValues[i])
						} else {
							r.Header.Set(nameValues[i], nameValues[i+1])
						}
					}
				}
				return next.HandleBuild(ctx, in)
			}), middleware.After)
		})
	}
}

// payload leaves the content unsigned, so that it need not be read beforehand.
func payload(c *content) requestOption {
	hash := "UNSIGNED-PAYLOAD"
	if c.trailer != "" {
		hash = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	}
	return func(o *s3.Options) {
		if c.guard != nil {
			o.Retryer = aws.NopRetryer{}
		}
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("CubbyPayload", func(
				ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
			) (middleware.InitializeOutput, middleware.Metadata, error) {
				return next.HandleInitialize(v4.SetPayloadHash(ctx, hash), in)
			}), middleware.Before)
		})
	}
}

// contentHeaders returns the headers that a PUT of c has besides the attributes.
func contentHeaders(c *content, encoding string) []string {
	if c.trailer == "" {
		return nil
	}
	coding := "aws-chunked"
	if encoding != "" {
		coding = encoding + "," + coding
	}
	return []string{
		"Content-Encoding", coding,
		"X-Amz-Decoded-Content-Length", strconv.FormatInt(c.size, 10),
		"X-Amz-Trailer", checksumHeader(c.trailer),
	}
}

// attributeHeaders returns the headers of attributes that the SDK would change:
// it has a time for Expires, and a type of its own for content without one.
func attributeHeaders(a *store.Attributes) []string {
	return []string{"Content-Type", a.ContentType, "Expires", a.Expires}
}

// optional returns nil for "".
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// entityTags writes a condition as the header has it.
func entityTags(tags []string) *string {
	if len(tags) == 0 {
		return nil
	}
	list := make([]string, len(tags))
	for i, t := range tags {
		list[i] = t
		if t != "*" {
			list[i] = `"` + t + `"`
		}
	}
	return aws.String(strings.Join(list, ", "))
}

func unquote(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

// checksums collects the checksums of an answer.
func checksums(crc32, crc32c, crc64, sha1, sha256 *string, t string) store.Checksums {
	c := store.Checksums{
		CRC32: aws.ToString(crc32), CRC32C: aws.ToString(crc32c), CRC64NVME: aws.ToString(crc64),
		SHA1: aws.ToString(sha1), SHA256: aws.ToString(sha256),
	}
	a := c.Any()
	switch {
	case a == "":
	case t != "":
		c.Type = store.ChecksumType(t)
	case strings.Contains(c.Get(a), "-"):
		c.Type = store.Composite
	default:
		c.Type = store.FullObject
	}
	return c
}

// or returns c, or other if c has no checksum.
func or(c, other store.Checksums) store.Checksums {
	if c.Any() == "" {
		return other
	}
	return c
}

// userMetadata decodes values that a service has written as words of RFC 2047
// because they are not ASCII.
func userMetadata(m map[string]string) map[string]string {
	var out map[string]string
	for k, v := range m {
		if out == nil {
			out = make(map[string]string, len(m))
		}
		if strings.HasPrefix(v, "=?") {
			if d, err := new(mime.WordDecoder).DecodeHeader(v); err == nil {
				v = d
			}
		}
		out[strings.ToLower(k)] = v
	}
	return out
}

// partsOf is the number of parts that the entity tag of a multipart object tells.
func partsOf(etag string) int {
	_, n, _ := strings.Cut(etag, "-")
	parts, _ := strconv.Atoi(n)
	return parts
}
