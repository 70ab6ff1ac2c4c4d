//! Finds the RBD image behind a PersistentVolume: of ceph-csi by its attributes or its handle, and of the
//! plugin that was part of Kubernetes.

use crate::k8s::{
    storage::{Csi, InTreeRbd, VolumeAttributes},
    text::is_identifier,
};
use wukong_core::observation::Image;

/// The prefix of images that ceph-csi creates, unless the storage class sets another one
/// (docs/deploy-rbd.md of ceph-csi).
const VOLUME_PREFIX: &str = "csi-vol-";
/// The prefix of images that the plugin of Kubernetes created (internal/rbd/migration.go of ceph-csi).
const IN_TREE_PREFIX: &str = "kubernetes-dynamic-pvc-";
const UUID: usize = 36;

/// The image of a CSI volume. `None` if it is no RBD volume, or does not name its image.
pub fn of_csi(csi: &Csi) -> Option<Image> {
    let attributes = &csi.volume_attributes;
    let of_ceph_fs =
        [&attributes.fs_name, &attributes.root_path, &attributes.subvolume_name, &attributes.subvolume_path];
    if of_ceph_fs.iter().any(|attribute| !attribute.is_empty()) {
        return None;
    }
    if attributes.pool.is_empty() {
        return migrated(&csi.volume_handle);
    }
    let is_static = is_true(&attributes.static_volume);
    let namespace = &*attributes.rados_namespace;
    Some(Image {
        pool: (*attributes.pool).into(),
        namespace: namespace.into(),
        name: name(attributes, &csi.volume_handle, is_static)?.into(),
        any_namespace: is_static && namespace.is_empty(),
    })
}

/// The image of a volume of the former Kubernetes plugin: `spec.rbd`.
pub fn in_tree(rbd: &InTreeRbd) -> Option<Image> {
    let pool = if rbd.pool.is_empty() { "rbd" } else { &rbd.pool };
    let image = Image { pool: pool.into(), name: (*rbd.image).into(), ..Image::default() };
    (!image.name.is_empty()).then_some(image)
}

/// The name of the image. ceph-csi writes it as an attribute since 2.1; before, it follows from the handle.
/// For a static volume it is the handle itself (docs/static-pvc.md of
/// ceph-csi).
fn name(attributes: &VolumeAttributes, handle: &str, is_static: bool) -> Option<String> {
    if !attributes.image_name.is_empty() {
        return Some(attributes.image_name.to_string());
    }
    if is_static {
        return Some(handle.to_owned()).filter(|handle| !handle.is_empty() && !handle.contains('/'));
    }
    let prefix = match &*attributes.volume_name_prefix {
        "" => VOLUME_PREFIX,
        prefix => prefix,
    };
    Some(format!("{prefix}{}", uuid_of(handle)?))
}

/// The uuid at the end of a handle
/// `0001-{length of the next, 4 hex digits}-{cluster}-{pool, 16 hex digits}-{uuid}` (internal/util/volid.go).
fn uuid_of(handle: &str) -> Option<&str> {
    let (length, rest) = handle.strip_prefix("0001-")?.split_at_checked(4)?;
    let length = usize::from_str_radix(length, 16).ok()?;
    let (cluster, rest) = rest.strip_prefix('-')?.split_at_checked(length)?;
    let (pool, uuid) = rest.strip_prefix('-')?.split_at_checked(16)?;
    let uuid = uuid.strip_prefix('-')?;
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_uuid = uuid.len() == UUID && is_hex(&uuid.replace('-', ""));
    (!cluster.is_empty() && is_hex(pool) && is_uuid).then_some(uuid)
}

/// The image of a migrated volume, by its handle `mig_mons-{hash}_image-{uuid}_{pool in hex digits}`.
fn migrated(handle: &str) -> Option<Image> {
    let mut parts = handle.strip_prefix("mig_mons-")?.splitn(3, '_').skip(1);
    let (image, pool) = (parts.next()?.strip_prefix("image-")?, parts.next()?);
    let pool = String::from_utf8(unhex(pool)?).ok().filter(|pool| !pool.is_empty() && is_identifier(pool))?;
    let name = format!("{IN_TREE_PREFIX}{image}");
    (!image.is_empty()).then(|| Image { pool: pool.into(), name: name.into(), ..Image::default() })
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

/// Parses a boolean as Go's `strconv.ParseBool` does; anything else is false.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(csi: &str) -> Option<String> {
        let csi: Csi = serde_json::from_str(csi).unwrap();
        let image = of_csi(&csi)?;
        let place = if image.any_namespace { " anywhere" } else { "" };
        Some(format!("{}/{}{place}", image.pool, image.name))
    }

    fn static_volume(value: &str) -> String {
        format!(
            r#"{{"driver":"rbd.csi.ceph.com","volumeHandle":"static-image","volumeAttributes":{{"clusterID":"b","pool":"replicapool","staticVolume":"{value}","imageFeatures":"layering"}}}}"#
        )
    }

    #[test]
    fn the_image_of_a_static_volume_is_its_handle() {
        for value in ["true", "True", "1", "t", "TRUE"] {
            let want = Some("replicapool/static-image anywhere");
            assert_eq!(image(&static_volume(value)).as_deref(), want, "{value}");
        }
        for value in ["false", "yes", ""] {
            assert_eq!(image(&static_volume(value)), None, "{value}");
        }
        assert_eq!(
            image(r#"{"volumeHandle":"a/b","volumeAttributes":{"pool":"rbd","staticVolume":"true"}}"#),
            None
        );
        let fs = r#"{"volumeHandle":"s","volumeAttributes":{"fsName":"myfs","staticVolume":"true","rootPath":"/a","pool":"x"}}"#;
        assert_eq!(image(fs), None, "CephFS");
    }

    #[test]
    fn the_image_of_an_older_volume_follows_from_its_handle() {
        const UUID: &str = "7fed1ce7-97cf-43ef-9b84-2a49ab992515";
        let handle = format!("0001-0009-rook-ceph-0000000000000002-{UUID}");
        let dynamic = |handle: &str, more: &str| {
            let attributes = format!(r#"{{"pool":"rbd","clusterID":"rook-ceph"{more}}}"#);
            image(&format!(r#"{{"volumeHandle":"{handle}","volumeAttributes":{attributes}}}"#))
        };
        assert_eq!(dynamic(&handle, ""), Some(format!("rbd/csi-vol-{UUID}")));
        assert_eq!(dynamic(&handle, r#","volumeNamePrefix":"vm-""#), Some(format!("rbd/vm-{UUID}")));
        assert_eq!(dynamic(&handle, r#","imageName":"csi-vol-9d""#).as_deref(), Some("rbd/csi-vol-9d"));
        // ceph/ceph-csi#5210: a handle that a person has made up.
        let made_up = dynamic(
            "a8-8ab-0200/devk8spv/test-clone",
            r#","imageName":"test-clone","parentImage":"devk8spv/ns-877/csi-vol-75@snap-5""#,
        );
        assert_eq!(made_up.as_deref(), Some("rbd/test-clone"));
        for odd in [
            handle.replace("0009", "0008"),
            handle.replacen("0001", "0002", 1),
            handle.replace("-0000000000000002-", "-2-"),
            handle[..handle.len() - 1].to_owned(),
            format!("{handle}0"),
            "h".to_owned(),
            String::new(),
            "0001-ffff-x".to_owned(),
            "0001-0001-é-0000000000000002-x".to_owned(),
        ] {
            assert_eq!(dynamic(&odd, ""), None, "{odd}");
        }
    }

    #[test]
    fn the_image_of_a_migrated_volume_is_in_its_handle() {
        let handle = "mig_mons-b7f67366bb43f32e07d8a261a7840da9_image-e0b45b52-7e09-47d3-8f1b-806995fa4412_706f6f6c5f7265706c6963615f706f6f6c";
        let want = "pool_replica_pool/kubernetes-dynamic-pvc-e0b45b52-7e09-47d3-8f1b-806995fa4412";
        assert_eq!(image(&format!(r#"{{"volumeHandle":"{handle}"}}"#)).as_deref(), Some(want));
        for odd in [
            "mig_mons-x",
            "mig_mons-x_image-u_7",
            "mig_mons-x_image-u_zz",
            "mig_mons-x_image-_72",
            "mig_mons-x_image-u_ff",
        ] {
            assert_eq!(image(&format!(r#"{{"volumeHandle":"{odd}"}}"#)), None, "{odd}");
        }
        let named = format!(
            r#"{{"volumeHandle":"{handle}","volumeAttributes":{{"pool":"rbd","staticVolume":"true","migration":"true","imageName":"kubernetes-dynamic-pvc-u"}}}}"#
        );
        assert_eq!(image(&named).as_deref(), Some("rbd/kubernetes-dynamic-pvc-u anywhere"));
    }

    #[test]
    fn the_plugin_of_kubernetes_names_its_image_itself() {
        let image = |json: &str| in_tree(&serde_json::from_str::<InTreeRbd>(json).unwrap());
        let want = Image { pool: "rbd".into(), name: "i".into(), ..Image::default() };
        assert_eq!(image(r#"{"image":"i","monitors":["m"]}"#), Some(want.clone()));
        assert_eq!(image(r#"{"image":"i","pool":"p"}"#), Some(Image { pool: "p".into(), ..want }));
        assert_eq!(image("{}"), None);
    }
}
