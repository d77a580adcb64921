// Package schematest holds the manifests of package launch against the published definitions of the custom resources: the
// OpenAPI schemas of JobSet and of the MPI operator, by the validator of Kubernetes' own API server. It is a module of its own, since that is heavy and
// serves this test alone.
package schematest
