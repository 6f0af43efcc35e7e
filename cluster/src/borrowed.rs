//! A type of our own that is read where Kubernetes' type is meant: it takes over the identity of that type.

/// Implements [`kube::Resource`] for a type with a field `metadata`, as the Kubernetes type that it is read instead of.
#[macro_export]
macro_rules! read_as {
    ($ours:ty as $theirs:ty) => {
        impl ::kube::Resource for $ours {
            type DynamicType = ();
            type Scope = <$theirs as ::kube::Resource>::Scope;

            fn kind((): &()) -> ::std::borrow::Cow<'_, str> {
                <$theirs as ::kube::Resource>::kind(&())
            }
            fn group((): &()) -> ::std::borrow::Cow<'_, str> {
                <$theirs as ::kube::Resource>::group(&())
            }
            fn version((): &()) -> ::std::borrow::Cow<'_, str> {
                <$theirs as ::kube::Resource>::version(&())
            }
            fn plural((): &()) -> ::std::borrow::Cow<'_, str> {
                <$theirs as ::kube::Resource>::plural(&())
            }
            fn meta(&self) -> &::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
