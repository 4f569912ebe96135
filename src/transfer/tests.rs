//! What locations come to, and what may not come in.

use super::flow::{Guarded, Sink};
use super::*;
use std::io::Read;

fn put(url: &str) -> Target {
    Target::upload(&Location::new(url), "log.txt").expect("usable")
}

#[test]
fn a_location_is_a_folder_unless_it_names_a_file() {
    for (url, comes_to) in [
        ("ftp://h", "/log.txt"),
        ("ftp://h/", "/log.txt"),
        ("ftp://h/a/b", "/a/b/log.txt"),
        ("ftp://h/a/b/", "/a/b/log.txt"),
        ("ftp://h/a/b.txt", "/a/b.txt"),
        ("ftp://h/a.d/", "/a.d/log.txt"),
        ("https://h/put?sig=1", "/put"),
    ] {
        let target = put(url);
        let mut parts = target.folders.clone();
        parts.push(target.file.clone());
        assert_eq!(format!("/{}", parts.join("/")), comes_to, "{url}");
        assert_eq!(target.url.path(), comes_to, "{url}");
    }
}

#[test]
fn login_and_ports_are_read_and_the_login_stays_out_of_the_url() {
    let target = put("ftps://us%40er:p%3Ass@h:2121/d/");
    assert_eq!(target.login, Some(("us@er".to_owned(), "p:ss".to_owned())));
    assert_eq!((target.host.as_str(), target.port), ("h", 2121));
    assert!(target.is_ftp() && target.is_secure());
    assert!(!target.url.as_str().contains("p%3Ass"));
    assert!(!format!("{target:?}").contains("p:ss"));
    assert_eq!(put("ftp://h/d").port, 21);
    assert_eq!(put("https://h/d").port, 443);
    assert_eq!(put("http://[::1]/d").host, "::1");
}

#[test]
fn what_is_no_location_is_refused_in_words() {
    let refused = |url: &str| Target::upload(&Location::new(url), "log.txt").expect_err("unusable");
    assert_eq!(refused("sftp://h/d"), TransferError::Scheme("sftp".to_owned()));
    assert_eq!(
        refused("file:///etc/passwd"),
        TransferError::Scheme("file".to_owned())
    );
    for url in [
        "",
        "no url",
        "ftp://",
        "ftp://h/a%0d%0aDELE%20x/",
        "ftp://u:p%0a@h/",
    ] {
        let error = refused(url);
        assert!(matches!(error, TransferError::Location(_)), "{url}: {error:?}");
    }
    let error = Target::download(&Location::new("ftp://h/d/")).expect_err("no file");
    assert!(matches!(error, TransferError::Location(_)));
}

#[test]
fn a_file_that_is_too_big_or_called_off_does_not_come_in() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("f.part");
    let sink = |most| Sink::new(std::fs::File::create(&path).expect("a file"), &path, most).expect("room");
    let stop = Stop::default();
    assert_eq!(sink(10).take(&mut &[7_u8; 10][..], &stop), Ok(10));
    assert_eq!(
        sink(9).take(&mut &[7_u8; 10][..], &stop),
        Err(TransferError::TooBig(9))
    );
    assert_eq!(sink(9).expect(10), Err(TransferError::TooBig(9)));
    let room = sink(u64::MAX).expect(u64::MAX / 2);
    assert!(matches!(room, Err(TransferError::NoSpace(_))), "{room:?}");
    stop.call();
    assert!(matches!(
        sink(10).take(&mut &[7_u8; 10][..], &stop),
        Err(TransferError::Broken(_))
    ));
}

#[test]
fn an_upload_is_what_the_file_was_when_it_began_and_can_be_called_off() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("f");
    std::fs::write(&path, "0123456789").expect("a file");
    let stop = Stop::default();
    let open = || std::fs::File::open(&path).expect("a file");
    let mut text = String::new();
    let source = Guarded::new(open(), stop.clone(), 4);
    let again = source.again().expect("a second");
    { source }.read_to_string(&mut text).expect("reads");
    assert_eq!(text, "0123");
    text.clear();
    again
        .read()
        .expect("rewound")
        .read_to_string(&mut text)
        .expect("reads");
    assert_eq!(text, "0123");
    stop.call();
    assert!(Guarded::new(open(), stop, 4).read_to_string(&mut text).is_err());
}
