//! Users and groups by the names that an image has for them.

use std::{fs, path::Path};

use crate::context::Jail;

/// The ids of `USER[:GROUP]`. Without a group, a name has the one that /etc/passwd gives it, and a number has itself; so
/// has a user without a name, who is root.
///
/// # Errors
/// A name that the image does not have.
pub fn find(text: &str, image: &Jail) -> Result<(u32, u32), String> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let (uid, own) = match (user, user.parse()) {
        ("", _) => (0, 0),
        (_, Ok(id)) => (id, id),
        _ => {
            let fields = entry(image, "etc/passwd", user);
            let ids = fields.as_ref().and_then(|fields| Some((id(fields, 2)?, id(fields, 3)?)));
            ids.ok_or_else(|| format!("the image's /etc/passwd has no user named {user}"))?
        }
    };
    let gid = match group.filter(|group| !group.is_empty()) {
        None => own,
        Some(group) => match group.parse() {
            Ok(id) => id,
            Err(_) => entry(image, "etc/group", group)
                .and_then(|fields| id(&fields, 2))
                .ok_or_else(|| format!("the image's /etc/group has no group named {group}"))?,
        },
    };
    Ok((uid, gid))
}

/// passwd(5) and group(5): the name first, fields with colons between.
fn entry(image: &Jail, file: &str, name: &str) -> Option<Vec<String>> {
    let text = fs::read(image.resolve(Path::new(file)).ok()?).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    Some(line.split(':').map(str::to_owned).collect())
}

fn id(fields: &[String], number: usize) -> Option<u32> {
    fields.get(number)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/passwd"), "root:x:0:0::/:\napp:x:1000:50::/home/app:/bin/sh\n").unwrap();
        fs::write(dir.path().join("etc/group"), "root:x:0:\nstaff:x:60:app\n").unwrap();
        let image = Jail::open(dir.path()).unwrap();
        let find = |text: &str| find(text, &image);
        assert_eq!(find("app"), Ok((1000, 50)));
        assert_eq!(find("app:staff"), Ok((1000, 60)));
        assert_eq!(find("7"), Ok((7, 7)));
        assert_eq!(find("7:8"), Ok((7, 8)));
        assert_eq!(find(""), Ok((0, 0)));
        assert_eq!(find(":staff"), Ok((0, 60)));
        assert_eq!(find("nobody-here").unwrap_err(), "the image's /etc/passwd has no user named nobody-here");
        assert!(find("app:nobody-here").unwrap_err().contains("/etc/group"));
    }
}
