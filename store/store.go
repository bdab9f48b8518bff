// Package store says what Cubby needs of an object store.
//
// A [Bucket] keeps objects under keys. Every driver implements it whole
// (memstore, diskstore, s3store, or one of your own), every wrapper is a Bucket
// again, and [github.com/cubby-storage/cubby/store/storetest] proves any of them.
// A [Service] is a set of buckets under names.
//
// # Terms
//
// A key is any non-empty valid UTF-8 of at most [MaxKey] bytes. It is never
// cleaned or decoded: "a//b", "a/./b" and "a/b" are three keys, and "a" and "a/b"
// may both exist. An entity tag is kept and compared without its quotation marks.
//
// # Errors
//
// Every error of a Bucket or Service is, or wraps, an [*Error] whose cause is one
// of the sentinels of this package or of io/fs: fs.ErrNotExist (no such object),
// fs.ErrExist (the object is there already), fs.ErrPermission, fs.ErrInvalid (a
// bad argument). What a driver cannot do fails with errors.ErrUnsupported and
// changes nothing. Test with errors.Is.
package store

import (
	"context"
	"io"
	"time"
)

// Limits of the S3 API that every Bucket keeps.
const (
	MaxKey      = 1024     // bytes in a key
	MaxParts    = 10_000   // parts in a multipart upload, numbered from 1
	MinPartSize = 5 << 20  // bytes in each part but the last
	MaxPartSize = 5 << 30  // bytes in a part, and in an object that is put or copied whole
	MaxSize     = 5 << 40  // bytes in an object
	MaxPage     = 1000     // entries in a page of a list
	MaxUserMeta = 2 * 1024 // bytes in the names and values of user metadata
	MaxTags     = 10       // tags on an object
)

// NullVersion is the version id of what was written while the bucket kept no
// versions: before Enabled, or while Suspended.
const NullVersion = "null"

// Bucket keeps objects. Its methods may be called concurrently.
//
// A write is visible whole or not at all, and durable when the method returns
// without error. A nil options pointer means the zero value. Where ctx ends
// before the work is done, the method returns an error that wraps ctx.Err() and
// nothing has changed.
type Bucket interface {
	// Stat describes the object without its content.
	Stat(ctx context.Context, key string, opts *GetOptions) (*Info, error)

	// Get opens the object. The caller closes Object.Body. The content is that
	// of one version of the object, even if it is overwritten or deleted meanwhile.
	Get(ctx context.Context, key string, opts *GetOptions) (*Object, error)

	// Put stores what it reads from r, up to io.EOF, under key. If r or ctx
	// fails, any object already there is left as it was.
	Put(ctx context.Context, key string, r io.Reader, opts *PutOptions) (*Info, error)

	// Copy stores under dst the content of the object src of this bucket, or of
	// CopyOptions.From. The bytes do not pass through the caller.
	Copy(ctx context.Context, dst, src string, opts *CopyOptions) (*Info, error)

	// Delete removes the object. To delete one that is not there is no error,
	// unless DeleteOptions.IfMatch asks for it. Where the bucket keeps versions
	// and none is named, it hides the object behind a delete marker: with Enabled
	// a new one, with Suspended one that takes the place of the null version.
	Delete(ctx context.Context, key string, opts *DeleteOptions) (*Deleted, error)

	// DeleteMany deletes up to MaxPage objects, as Delete does. The result has one
	// element for each target, in order. The error is set only if nothing was tried.
	DeleteMany(ctx context.Context, targets []Target) ([]Deleted, error)

	// List returns a page of the keys in ascending order of their bytes. What is
	// hidden behind a delete marker is not there.
	List(ctx context.Context, opts *ListOptions) (*Page, error)

	// Versioning says whether the bucket keeps versions.
	Versioning(ctx context.Context) (Versioning, error)

	// SetVersioning changes that, to Enabled or Suspended: a bucket that once kept
	// versions has them until each is deleted.
	SetVersioning(ctx context.Context, v Versioning) error

	// ListVersions returns a page of all versions and delete markers, by key and
	// then from the latest to the oldest.
	ListVersions(ctx context.Context, opts *ListVersionsOptions) (*VersionsPage, error)

	// Tags returns the tags of an object, which may be none.
	Tags(ctx context.Context, key string, opts *GetOptions) (map[string]string, error)

	// SetTags replaces the tags of an object.
	SetTags(ctx context.Context, key string, tags map[string]string, opts *GetOptions) error

	// CreateUpload starts a multipart upload of key. The conditions of opts are
	// not looked at here but in CompleteUpload; of Checksums only the algorithm
	// (see [PutOptions.Algorithm]) and Type count.
	CreateUpload(ctx context.Context, key string, opts *PutOptions) (*Upload, error)

	// PutPart stores what it reads from r as part n, 1 to MaxParts, in place of
	// any part n before it.
	PutPart(ctx context.Context, key, uploadID string, n int, r io.Reader, opts *PartOptions) (*Part, error)

	// CopyPart stores as part n the content, or opts.Range of it, of the object
	// src of this bucket, or of opts.From.
	CopyPart(ctx context.Context, key, uploadID string, n int, src string, opts *CopyPartOptions) (*Part, error)

	// ListParts returns a page of the parts that are stored, by number.
	ListParts(ctx context.Context, key, uploadID string, opts *ListPartsOptions) (*PartsPage, error)

	// ListUploads returns a page of the uploads that are neither complete nor
	// aborted, by key and then by the time they started.
	ListUploads(ctx context.Context, opts *ListUploadsOptions) (*UploadsPage, error)

	// CompleteUpload makes the object of the parts named, whose numbers ascend.
	// A part whose ETag is empty is taken by its number alone. Afterwards the
	// upload no longer exists. An error leaves it as it was.
	CompleteUpload(ctx context.Context, key, uploadID string, parts []Part, opts *CompleteOptions) (*Info, error)

	// AbortUpload forgets the upload and its parts. A PutPart that is under way
	// fails with ErrNoUpload.
	AbortUpload(ctx context.Context, key, uploadID string, opts *UploadOptions) error
}

// Service is a set of buckets under names.
type Service interface {
	// Bucket returns the bucket called name, or an error that is ErrNoBucket.
	Bucket(ctx context.Context, name string) (Bucket, error)

	// Buckets describes all buckets, by name.
	Buckets(ctx context.Context) ([]BucketInfo, error)

	// CreateBucket makes a bucket. If there is one, the error is fs.ErrExist.
	// The name must pass [CheckBucketName].
	CreateBucket(ctx context.Context, name string) error

	// DeleteBucket removes an empty bucket. If it has objects, versions or uploads, the
	// error is ErrNotEmpty.
	DeleteBucket(ctx context.Context, name string) error
}

// BucketInfo describes a bucket.
type BucketInfo struct {
	Name    string
	Created time.Time
}

// Versioning says whether a bucket keeps the versions of its objects.
type Versioning string

// The states of a bucket.
const (
	Unversioned Versioning = ""          // it never kept any: what is overwritten or deleted is gone
	Enabled     Versioning = "Enabled"   // each write makes a version with an id of its own
	Suspended   Versioning = "Suspended" // each write replaces the null version; others stay
)

// Target names an object to delete.
type Target struct {
	Key     string
	Version string // "" is the current one
}

// Deleted is what became of a Target.
type Deleted struct {
	// Version is the id of the version that is gone or, if Marker is set and none
	// was named, of the delete marker that was made. A version that was named is
	// gone, whether it was there or not. "" in a bucket without versions.
	Version string
	Marker  bool // what was made, or what is gone, is a delete marker
	// Err is why the object is still there. It is nil from Delete, whose second result it is.
	Err error
}

// Attributes are what an object carries besides its content. All but User are
// the HTTP headers of the same names, kept as given.
type Attributes struct {
	ContentType        string // "" when none was given: readers see application/octet-stream
	CacheControl       string
	ContentDisposition string
	ContentEncoding    string
	ContentLanguage    string
	Expires            string
	User               map[string]string // user metadata: lower-case names, without x-amz-meta-
}

// Info describes an object.
type Info struct {
	Key       string
	Size      int64
	ETag      string // without quotation marks
	ModTime   time.Time
	Version   string // version id; "" in a bucket that is Unversioned
	Checksums Checksums
	Parts     int // number of parts it was uploaded in; 0 if it was put whole
	TagCount  int
	SSE       Encryption
	Attributes
}

// Encryption says how an object is encrypted at rest. The zero value is: not by request.
type Encryption struct {
	Algorithm      string // "AES256" or "aws:kms"; "AES256" with a CustomerKeyMD5 for SSE-C
	KMSKeyID       string // of "aws:kms"
	CustomerKeyMD5 string // SSE-C: base64 of the MD5 of the key, as S3 names it; nothing else is kept of the key
}

// Object is an object that is open for reading.
type Object struct {
	Info
	// Offset and Length say which bytes Body yields: the range that was asked
	// for, cut to the size of the object.
	Offset, Length int64
	// Body yields the content. If it implements io.WriterTo, that is the fast
	// way; over files it lets net/http send them without copying.
	Body io.ReadCloser
}

// Range is a range of bytes in an object. A Length below 0 means up to the end;
// an Offset below 0 counts from the end ({-5, -1} is the last five bytes).
type Range struct {
	Offset, Length int64
}

// KeyRange is the set of keys k with Start <= k, and k < End unless End is "".
type KeyRange struct {
	Start, End string
}

// Conditions make a request depend on the state of the object. Entity tags are
// without quotation marks, "*" stands for any object. A zero value asks nothing.
// As in RFC 9110, IfMatch takes precedence over IfUnmodifiedSince, and
// IfNoneMatch over IfModifiedSince; times count in whole seconds.
type Conditions struct {
	IfMatch           []string
	IfNoneMatch       []string
	IfModifiedSince   time.Time
	IfUnmodifiedSince time.Time
}

// SSE asks for encryption at rest. The zero value asks for none.
type SSE struct {
	Algorithm   string // "AES256" or "aws:kms"; "" with a CustomerKey
	KMSKeyID    string // of "aws:kms"; "" is the default key
	KMSContext  string // of "aws:kms": base64 of a JSON object of strings; needed for nothing but the key service
	CustomerKey []byte // SSE-C: the key itself, 32 bytes
}

// GetOptions are the options of Stat, Get, Tags and SetTags.
type GetOptions struct {
	Version string // read this version; "" is the current one
	Range   *Range // Get: nil is the whole object; none of it inside the object is ErrRange
	Part    int    // Get, Stat: read part n of a multipart object; 0 is the whole object
	SSE     SSE    // CustomerKey of an object that is kept with one; tags need none
	Conditions
}

// PutOptions are the options of Put and CreateUpload.
type PutOptions struct {
	Attributes
	Tags map[string]string

	// IfMatch writes only if the object there has one of these entity tags (no
	// object: fs.ErrNotExist; another: ErrPrecondition). IfNoneMatch may only be
	// "*": write only if there is no object, else the error is fs.ErrExist.
	// The test and the write are one step.
	IfMatch     []string
	IfNoneMatch []string

	// Size is what the reader is known to hold; 0 or less means unknown. If it
	// holds another number of bytes, the error is ErrIncomplete.
	Size int64
	// MD5, if not nil, must be the MD5 of the content, else the error is ErrDigest.
	MD5 []byte
	// Checksums that are not "" must be those of the content, else the error is
	// ErrDigest. They are kept with the object.
	Checksums Checksums
	// Algorithm, if set, is a checksum to compute and keep, even where
	// Checksums does not have a value to compare it with.
	Algorithm Algorithm
	// Trailer, if not nil, is called after the last byte was read, and what it
	// returns is treated as Checksums are. Algorithm must name what it returns.
	Trailer func() (Checksums, error)

	// Owner of an upload: who started it. "" for Put.
	Owner string
	SSE   SSE
}

// CopyOptions are the options of Copy.
type CopyOptions struct {
	From      Bucket // the bucket of the source; nil is this one
	Version   string // of the source
	Source    Conditions
	SourceKey []byte // the CustomerKey of the source, if it is kept with one
	// Replace gives the copy the Attributes of Put instead of those of its
	// source, and ReplaceTags its Tags. Of Put, Attributes (with Replace), Tags
	// (with ReplaceTags), IfMatch, IfNoneMatch, Algorithm and SSE are used.
	Replace, ReplaceTags bool
	Put                  PutOptions
}

// DeleteOptions are the options of Delete.
type DeleteOptions struct {
	Version string   // delete this version for good, be it a delete marker
	IfMatch []string // delete only an object with one of these entity tags
}

// ListOptions are the options of List.
type ListOptions struct {
	Prefix string // list only keys that start with it
	// Delimiter, if not "", rolls up the keys that hold it after Prefix: up to and
	// with its first occurrence they count as one entry of Page.Prefixes.
	Delimiter string
	// After lists only keys greater than it. If Delimiter is set and After is
	// itself one of the rolled-up prefixes, the keys that it stands for are
	// left out too.
	After string
	// Limit is the most entries, objects and prefixes together; 0 means MaxPage.
	// Fewer may be returned, with More set.
	Limit int
	// Ranges, if not nil, lists only keys inside one of them. They ascend and do
	// not overlap. An empty, non-nil slice lists nothing. A rolled-up prefix is
	// listed only if a key that it stands for lies in a range.
	Ranges []KeyRange
}

// Page is part of a list.
type Page struct {
	// Objects ascend by key. Attributes, Parts, TagCount and SSE need not be set.
	Objects  []Info
	Prefixes []string // rolled up by the delimiter, ascending
	More     bool     // there is more after Next
	Next     string   // the After of the next page: the last key or prefix in this one
}

// Version is a version of an object, or a delete marker.
type Version struct {
	// Info has a Version, which is NullVersion in a bucket that is Unversioned. Of
	// a delete marker Key, Version and ModTime are set.
	Info
	Latest   bool // the current one, or the marker that hides it
	IsMarker bool
}

// ListVersionsOptions are the options of ListVersions.
type ListVersionsOptions struct {
	Prefix    string // as in ListOptions
	Delimiter string
	// AfterKey lists only versions of greater keys, and with AfterVersion those of
	// AfterKey, too, that come after this one, which need not be there any more. A
	// rolled-up prefix as AfterKey leaves out the keys that it stands for, as in
	// ListOptions.
	AfterKey     string
	AfterVersion string // a version id, or the NextVersion of a page
	// Limit is the most entries, versions and prefixes together; 0 means MaxPage.
	// Fewer may be returned, with More set.
	Limit  int
	Ranges []KeyRange // as in ListOptions
}

// VersionsPage is part of a list of versions.
type VersionsPage struct {
	Versions []Version // Attributes, Parts, TagCount and SSE need not be set
	Prefixes []string  // rolled up by the delimiter, ascending
	More     bool      // there is more after NextKey and NextVersion
	// NextKey and NextVersion are the AfterKey and AfterVersion of the next page.
	// NextVersion is the id of the last version; for a null version it may be a word
	// for its place, since another one may be null by then.
	NextKey     string
	NextVersion string
}

// Upload is a multipart upload.
type Upload struct {
	Key       string
	ID        string
	Owner     string // who started it
	Started   time.Time
	Algorithm Algorithm
	Type      ChecksumType
	SSE       Encryption
}

// Part is a part of an upload.
type Part struct {
	Number    int
	Size      int64
	ETag      string
	ModTime   time.Time
	Checksums Checksums
}

// UploadOptions name the upload more closely.
type UploadOptions struct {
	// Owner, if not "", must be who started the upload, else the error is ErrNoUpload.
	Owner string
}

// PartOptions are the options of PutPart. Size, MD5, Checksums, Algorithm,
// Trailer and SSE are as in PutOptions. Without Algorithm, that of the upload is used.
type PartOptions struct {
	UploadOptions
	Size      int64
	MD5       []byte
	Checksums Checksums
	Algorithm Algorithm
	Trailer   func() (Checksums, error)
	SSE       SSE
}

// CopyPartOptions are the options of CopyPart.
type CopyPartOptions struct {
	UploadOptions
	From      Bucket // the bucket of the source; nil is this one
	Version   string // of the source
	Source    Conditions
	SourceKey []byte // the CustomerKey of the source, if it is kept with one
	Range     *Range // nil is the whole object; it must lie within the object, else ErrRange
	SSE       SSE    // the CustomerKey of the upload, if it has one
}

// ListPartsOptions are the options of ListParts.
type ListPartsOptions struct {
	UploadOptions
	After int // list parts with a greater number
	Limit int // 0 means MaxPage
}

// PartsPage is part of a list of parts.
type PartsPage struct {
	Upload Upload
	// Attributes are those that the object will have; nil if the store does not tell.
	Attributes *Attributes
	Parts      []Part
	More       bool
	Next       int // the After of the next page
}

// ListUploadsOptions are the options of ListUploads.
type ListUploadsOptions struct {
	UploadOptions        // Owner, if not "", lists only their uploads
	Prefix        string // as in ListOptions
	Delimiter     string
	// AfterKey lists only uploads of greater keys, and with AfterID those of
	// AfterKey, too, that come after this one. A rolled-up prefix as AfterKey
	// leaves out the keys that it stands for, as in ListOptions.
	AfterKey string
	AfterID  string
	// Limit is the most entries, uploads and prefixes together; 0 means MaxPage.
	// Fewer may be returned, even none, with More set.
	Limit  int
	Ranges []KeyRange // as in ListOptions
}

// UploadsPage is part of a list of uploads.
type UploadsPage struct {
	Uploads  []Upload // SSE need not be set
	Prefixes []string // rolled up by the delimiter, ascending
	More     bool     // there may be more after NextKey and NextID
	// NextKey and NextID are the AfterKey and AfterID of the next page. They say
	// nothing that the list would not: with an Owner, never of others' uploads.
	NextKey string
	NextID  string
}

// CompleteOptions are the options of CompleteUpload. IfMatch and IfNoneMatch
// are as in PutOptions.
type CompleteOptions struct {
	UploadOptions
	IfMatch     []string
	IfNoneMatch []string
	Size        int64     // if above 0, the size the object must have, else ErrIncomplete
	Checksums   Checksums // of the whole object; where they are "" they are not compared
	// MinPart is the least size of each part but the last, for a store of its own
	// that takes smaller ones; 0 means MinPartSize.
	MinPart int64
}
