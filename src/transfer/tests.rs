//! What locations come to, and what may not come in.

use super::flow::{Guarded, Sink};
use super::*;
use crate::domain::{InstallerSaid, Signing};
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

/// Made with OpenSSL for this test: certificates whose keys are thrown away, and what those keys signed of [`MESSAGE`].
const MESSAGE: &[u8] = b"retrovolt";
const RSA: &str = "\
-----BEGIN CERTIFICATE-----
MIIDGTCCAgGgAwIBAgIUKMDUk4PLdqe4IIIZ48o0y63/rk4wDQYJKoZIhvcNAQEL
BQAwFjEUMBIGA1UEAwwLVGVzdCBzaWduZXIwIBcNMjYxMTI2MDEzMDI5WhgPMjEy
NjExMDIwMTMwMjlaMBYxFDASBgNVBAMMC1Rlc3Qgc2lnbmVyMIIBIjANBgkqhkiG
9w0BAQEFAAOCAQ8AMIIBCgKCAQEAuZyo48qrhmbU5fRA/aVNLrL8fYYnvgjv3xqB
Z8hIqtsGp/96NVv6cM5Us67VYguCCu8oqRqlYNbf2QWs1XmTUnFQTsqTEddMvpDy
sxtkjlQ9noqtXTI4klQR1HPJ/bhDSDZaX7AmKElOYf/hnugqOuQXL2M1IB7en4He
B1+MEIEvn/vlvk12/f31yBOCXTvbqlrT8x6PnLlQuifTdVutQSygU7AQt6YNd9YB
SJcitpn4stO89xo7Y4s6kSud3/X6T0bB/B3/ObGGQ4Wv2PUQRsdzlCbTsFsmlgaO
lrQlLIykW4BUQl/V7xdtL6KVZZzbumb8RjTOFpyONPDgP6NjHQIDAQABo10wWzAd
BgNVHQ4EFgQU3mpB7et064rtO+65uDgnoNwpkwcwHwYDVR0jBBgwFoAU3mpB7et0
64rtO+65uDgnoNwpkwcwDAYDVR0TAQH/BAIwADALBgNVHQ8EBAMCB4AwDQYJKoZI
hvcNAQELBQADggEBAKupu/vVCsSUe1Ohufe1vu3Bw7Ejucl5BGo1wiLZpm4bfm4M
bddz++lW8WrrSKai/KgjceH71oBpUspqU+BTCVDMjQsNeZmRs7FerXkFa1IpCvtG
eTChe9wtE6XawatajZcBsKRt+qw4DJo4N48Kcq7sYVNMp6KFqwKksRNWK/a0dcEN
tdqgEIHmX9cgdSs2+JL3Dm6d87DxJXD31pxPUdr4FV5Skd53OyCXsGcKBuNdwSTF
sUvfKI7KVDuWcbeXyjpWFAJI+Kn+TF3qB9tugADJfJKb0Mn1aRDz3O56q4nXs33C
Gk/XaXfN5rDtkdqfmg5N1VIC3E4f7XY9H1k7vbQ=
-----END CERTIFICATE-----
";
const RSA_PSS: &str = "UWoXT19pg9dWClMmX6t3TD0YDmLD4B0ZwixXkKmpwWY/3xVKJSCjJYwbSEoRFWVdQLxm62Cz0HuzGffqzr6Fkzh1v7kghjMm0k//\
    MUSXdlTrltVuc9AXlSBxC/pjvyxem+T5uO4Dni3K4CbA0A1HNJw+QsC1h340F+Tlms3Io3lBrIrIbmYMY8yiA8wqw7xuoOM8HFsh\
    nVMyLUvpODLr96+94Q5mKncYt98rE08El6fPXuvE6RfcBHdZK/PiUxIbq4ek4CXNh+8zsEQWAFGV4ajYIaX3dlDjLpN1KHboP2R0\
    HyOhV9dkqTQcV4RkS+FJGzkOuVYaPq6/SV0PDiG4mw==";
const RSA_PKCS1: &str = "bGiDyeDLlhqBg1nURVOYjJdoxj5sVCqKgmtwwnCKh+hDkZh3LJS0LvQlOWzNOGQoKiXTk0mlSIa/BHkuVH0kF9At/RK11ydB3GC7\
    o3EliwvlYtriuIYae/k5vJoeX3m0N3D6BefHaCkzSLTqA3mM0dcZqJQrBErpn4phH3P7Q1t+caZ623Xjkh3ZVLPrMIP0mRRXacXz\
    gYVxpFWVONGZAxgzkzuG1bZGF3F89FY3ejQOhg1u1H95Inf3vxli/W4YEsjbwSoj+zfK0IaeYfrpGOCnViArTxqTB8XT+1HQDIEk\
    NRLh2dvuur6dVIxmH2owOkQZip5h38PXAizTd9wVlA==";
const P384: &str = "\
-----BEGIN CERTIFICATE-----
MIIBvjCCAUOgAwIBAgIUDkQ4yLT4GALIHcrZZ8afIRYugyYwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLVGVzdCBzaWduZXIwIBcNMjYxMTI2MDEzMDI5WhgPMjEyNjEx
MDIwMTMwMjlaMBYxFDASBgNVBAMMC1Rlc3Qgc2lnbmVyMHYwEAYHKoZIzj0CAQYF
K4EEACIDYgAEuneSFDtL+QacWNNowDGHNTu4JJ5rXsClMefUzVzyot20O7Ptccno
UcZw2m/d5HYkVqRndwk4AyyoNcY439wrUVniPoet2WRPP64POs/S9m6wqUKAKxcC
3ihjQutQUziNo1AwTjAdBgNVHQ4EFgQUynuLiLZVtCDP5TpenINZs+B3xMwwHwYD
VR0jBBgwFoAUynuLiLZVtCDP5TpenINZs+B3xMwwDAYDVR0TAQH/BAIwADAKBggq
hkjOPQQDAgNpADBmAjEAnXCik8H1OVe4AmPA88gc+DlDA3TQgfg8N24PoVryD41M
xaJpz6ioSR7HniBt5YT4AjEAkCxvbgE/hB8FCuPygiO+L/2kdm2Mn5dK6l/cV0Iv
1sA6xuZ2f7RLYgK6nO1qxMDk
-----END CERTIFICATE-----
";
const P384_ECDSA: &str = "MGUCMA/O6CouqTF0d4TM6mtCv/HKbmmygExW32Xj68+70s9ySBr+XxJW5oUqhsIFLbYnXQIxALcPsaNf2f1S9NzH4BBmaaDBbTYj\
    KQPehE5SED/f2t6WWKMSNbwTSfhVlKGxMf5nLA==";

fn signing(certificate: &str, signature: &str) -> Signing {
    Signing {
        certificate: certificate.to_owned(),
        signature: signature.to_owned(),
    }
}

#[test]
fn signatures_of_the_whitepaper_are_understood_and_no_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("image");
    std::fs::write(&file, MESSAGE).expect("a file");
    for (certificate, signature) in [(RSA, RSA_PSS), (P384, P384_ECDSA)] {
        assert_eq!(verify(&file, &signing(certificate, signature)), Ok(()));
    }
    let refused = |certificate: &str, signature: &str| {
        matches!(
            verify(&file, &signing(certificate, signature)),
            Err(TransferError::Signature(_) | TransferError::Certificate(_))
        )
    };
    // The older padding of RSA is not what the whitepaper asks for.
    assert!(refused(RSA, RSA_PKCS1));
    assert!(refused(P384, RSA_PSS));
    assert!(refused(RSA, "no base64!"));
    assert!(refused(RSA, ""));
    assert!(refused("no PEM", RSA_PSS));
    assert!(refused(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        RSA_PSS
    ));
    std::fs::write(&file, b"retrovolts").expect("a file");
    assert!(refused(RSA, RSA_PSS) && refused(P384, P384_ECDSA));
}

/// A certificate with this purpose, good for the year 2026, its intermediate behind it; and the root.
fn chain(purpose: rcgen::ExtendedKeyUsagePurpose) -> (String, String) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
    let key = || KeyPair::generate().expect("a key");
    let ca = |name: &str| {
        let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        ca.distinguished_name.push(rcgen::DnType::CommonName, name);
        ca
    };
    let root = CertifiedIssuer::self_signed(ca("root"), key()).expect("a root");
    let between = CertifiedIssuer::signed_by(ca("between"), key(), &root).expect("an intermediate");
    let mut leaf = CertificateParams::new(Vec::new()).expect("parameters");
    leaf.not_before = rcgen::date_time_ymd(2026, 1, 1);
    leaf.not_after = rcgen::date_time_ymd(2027, 1, 1);
    leaf.extended_key_usages = vec![purpose];
    let leaf = leaf.signed_by(&key(), &between).expect("a certificate");
    (leaf.pem() + &between.pem(), root.pem())
}

#[test]
fn a_signing_certificate_leads_to_a_root_in_its_time_and_for_its_purpose() {
    use rcgen::ExtendedKeyUsagePurpose as Purpose;
    const IN_2026: i64 = 1_789_992_000_000;
    let dir = tempfile::tempdir().expect("a folder");
    let roots = dir.path().join("roots.pem");
    let (good, root) = chain(Purpose::CodeSigning);
    std::fs::write(&roots, &root).expect("a file");
    assert_eq!(check_certificate(&good, &roots, IN_2026), Ok(()));
    let refused = |pem: &str, unix_ms| {
        matches!(
            check_certificate(pem, &roots, unix_ms),
            Err(TransferError::Certificate(_))
        )
    };
    let year = 366 * 86_400_000;
    assert!(refused(&good, IN_2026 + year) && refused(&good, IN_2026 - year));
    let (stranger, _) = chain(Purpose::CodeSigning);
    assert!(refused(&stranger, IN_2026));
    let end = good.find("-----END CERTIFICATE-----").expect("PEM") + "-----END CERTIFICATE-----\n".len();
    assert!(refused(&good[..end], IN_2026), "without what is between");
    assert!(refused(&root, IN_2026), "a root signs no files");
    assert!(refused("", IN_2026) && refused("-----BEGIN CERTIFICATE-----", IN_2026));
    let (server, root) = chain(Purpose::ServerAuth);
    std::fs::write(&roots, root).expect("a file");
    assert!(refused(&server, IN_2026), "a certificate of a server");
    std::fs::remove_file(&roots).expect("it was there");
    assert!(matches!(
        check_certificate(&good, &roots, IN_2026),
        Err(TransferError::Own(_))
    ));
}

#[test]
fn the_spool_shows_only_whole_files_and_forgets_them_at_the_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let spool = Spool::new(&dir.path().join("spool"));
    let handover = Handover {
        version: 1,
        job: "CP-1",
        charge_point: "CP",
        kind: "package",
        request_id: None,
        signed: false,
    };
    assert!(matches!(spool.hand_over(&handover), Err(TransferError::Own(_))));
    let arriving = spool.arriving("CP-1").expect("a folder");
    std::fs::write(&arriving, "abc").expect("a file");
    let shown = || {
        let entries = std::fs::read_dir(dir.path().join("spool")).expect("the spool");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    };
    assert_eq!(shown(), [".incoming"]);
    for _ in 0..2 {
        spool.hand_over(&handover).expect("handed over");
        assert_eq!(shown(), [".incoming", "CP-1.image", "CP-1.json"]);
    }
    let sheet = std::fs::read_to_string(dir.path().join("spool/CP-1.json")).expect("the sheet");
    let sheet: serde_json::Value = serde_json::from_str(&sheet).expect("JSON");
    // FIPS 180-2 appendix B.1.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((&sheet["sha256"], &sheet["bytes"]), (&abc.into(), &3.into()));
    assert_eq!(
        (&sheet["image"], &sheet["request_id"]),
        (&"CP-1.image".into(), &serde_json::Value::Null)
    );
    spool.discard("CP-1");
    assert_eq!(shown(), [".incoming"]);
}

#[test]
fn what_an_installer_says_is_believed_only_where_it_can_be_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let spool = Spool::new(&dir.path().join("spool"));
    spool.arriving("CP-1").expect("a folder");
    let says = |text: &str| {
        std::fs::write(dir.path().join("spool/CP-1.result"), text).expect("a file");
        spool.said("CP-1")
    };
    assert_eq!(spool.said("CP-1"), None);
    for text in ["", "{", "[]", "{\"status\": 1}", "{\"status\": \"perhaps\"}"] {
        assert_eq!(says(text), None, "{text}");
    }
    assert_eq!(
        says("{\"status\": \"installing\"}"),
        Some(InstallerSaid::Installing)
    );
    assert_eq!(
        says("{\"status\": \"installed\", \"more\": 1}"),
        Some(InstallerSaid::Installed)
    );
    let why = Some(InstallerSaid::Failed("no  room".to_owned()));
    assert_eq!(
        says("{\"status\": \"failed\", \"reason\": \"no\\n\\troom\"}"),
        why
    );
    spool.discard("CP-1");
    assert_eq!(spool.said("CP-1"), None);
}
