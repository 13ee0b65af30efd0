//! Rights that are given up once everything is open: user, capabilities, files, system calls.
//!
//! Called before any thread starts, since Landlock and capabilities hold for a thread and those it
//! starts. What must fail afterwards is tried by `dwell check --sandbox`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::config::{BackendChoice, Config, folder_of};
use crate::log;

/// Gives up what the configuration says; nothing of it can be had back.
///
/// # Errors
/// A user that is not there, a step that the system refuses although it could do it.
#[cfg(target_os = "linux")]
pub(crate) fn give_up(config: &Config, path: Option<&Path>) -> anyhow::Result<()> {
    // The bounding set can only be narrowed with rights that go in the next step.
    let _ = caps::clear(None, caps::CapSet::Bounding);
    become_user(&config.privileges.user)?;
    drop_capabilities(config)?;
    nix::sys::prctl::set_no_new_privs().context("no_new_privs")?;
    if config.privileges.landlock {
        close_files(config, path)?;
    }
    if config.privileges.seccomp {
        refuse_calls(keeps_capture(config)).context("seccomp")?;
    }
    Ok(())
}

/// Gives up nothing: other systems have none of this.
#[cfg(not(target_os = "linux"))]
pub(crate) fn give_up(_config: &Config, _path: Option<&Path>) -> anyhow::Result<()> {
    Ok(())
}

/// Makes a folder that the sensor writes in, for the user that it will become.
///
/// # Errors
/// When it cannot be made or given away.
pub(super) fn make_folder(config: &Config, path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::create_dir(path).with_context(|| format!("{}: cannot make", path.display()))?;
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o750))?;
    #[cfg(target_os = "linux")]
    if !config.privileges.user.is_empty()
        && let Some(user) = nix::unistd::User::from_name(&config.privileges.user)?
    {
        std::os::unix::fs::chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .with_context(|| format!("{}: cannot give away", path.display()))?;
    }
    Ok(())
}

/// Whether the right to open packet sockets is kept: rings of a group, and libpcap, cannot be taken
/// up anew without it when their interface comes back.
#[cfg(target_os = "linux")]
fn keeps_capture(config: &Config) -> bool {
    config
        .capture
        .iter()
        .any(|capture| capture.ring_count(2) > 1 || capture.backend == BackendChoice::Libpcap)
}

#[cfg(target_os = "linux")]
fn become_user(name: &str) -> anyhow::Result<()> {
    use nix::unistd::{Uid, User, setgroups, setresgid, setresuid};
    if name.is_empty() {
        return Ok(());
    }
    if !Uid::effective().is_root() {
        let current = User::from_uid(Uid::effective())?.map(|user| user.name);
        anyhow::ensure!(
            current.as_deref() == Some(name),
            "user {name:?}: only root can become another"
        );
        return Ok(());
    }
    let user = User::from_name(name)?.with_context(|| format!("user {name:?}: there is none"))?;
    // Capabilities would be lost with the user; the one that may be kept is set again below.
    nix::sys::prctl::set_keepcaps(true).context("keep capabilities")?;
    setgroups(&[user.gid]).context("setgroups")?;
    setresgid(user.gid, user.gid, user.gid).context("setresgid")?;
    setresuid(user.uid, user.uid, user.uid).context("setresuid")?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn drop_capabilities(config: &Config) -> anyhow::Result<()> {
    use caps::{CapSet, Capability, CapsHashSet};
    let permitted = caps::read(None, CapSet::Permitted).context("capabilities")?;
    let mut kept = CapsHashSet::new();
    if keeps_capture(config) && permitted.contains(&Capability::CAP_NET_RAW) {
        kept.insert(Capability::CAP_NET_RAW);
        log::notice("keeping CAP_NET_RAW, to take interfaces up again");
    }
    caps::clear(None, CapSet::Ambient).context("ambient capabilities")?;
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new())
        .context("inheritable capabilities")?;
    caps::set(None, CapSet::Effective, &kept).context("effective capabilities")?;
    caps::set(None, CapSet::Permitted, &kept).context("permitted capabilities")
}

/// Leaves the files that a running sensor needs, and no others.
#[cfg(target_os = "linux")]
fn close_files(config: &Config, path: Option<&Path>) -> anyhow::Result<()> {
    use landlock::{
        ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
        RulesetStatus, path_beneath_rules,
    };
    let abi = ABI::V3;
    let (read, write) = files_of(config, path);
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules(&read, AccessFs::from_read(abi))))
        .and_then(|rules| {
            let access = AccessFs::from_all(abi) & !AccessFs::Execute;
            rules.add_rules(path_beneath_rules(&write, access))
        })
        .and_then(landlock::RulesetCreated::restrict_self)
        .context("Landlock")?;
    if status.ruleset == RulesetStatus::NotEnforced {
        log::warning("this kernel has no Landlock: files stay within reach of the user's rights");
    }
    Ok(())
}

/// What a running sensor reads, and the folders that it writes in.
#[cfg(target_os = "linux")]
fn files_of(config: &Config, path: Option<&Path>) -> (Vec<PathBuf>, Vec<PathBuf>) {
    // Its own figures and those of its interfaces; names of hosts that outputs send to.
    let fixed = [
        "/proc",
        "/sys/class/net",
        "/sys/devices",
        "/etc/resolv.conf",
        "/etc/hosts",
        "/etc/nsswitch.conf",
        "/etc/host.conf",
        "/etc/gai.conf",
        "/etc/ld.so.cache",
        "/lib",
        "/usr/lib",
        "/dev/urandom",
    ];
    let mut read: Vec<PathBuf> = fixed.iter().map(PathBuf::from).collect();
    // The folder, not the file: editors put another file in its place.
    read.extend(path.map(folder_of));
    read.extend(
        config
            .attribution
            .rules
            .iter()
            .map(|rules| if rules.is_dir() { rules.clone() } else { folder_of(rules) }),
    );
    read.extend(config.attribution.policy.as_deref().map(folder_of));
    let outputs = config.output.iter().filter_map(|output| output.path.as_deref());
    let written = outputs.chain(config.state.database.as_deref());
    (read, written.map(folder_of).chain(config.evidence.dir.clone()).collect())
}

/// Refuses system calls that a sensor never makes.
#[cfg(target_os = "linux")]
fn refuse_calls(capture_kept: bool) -> anyhow::Result<()> {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch,
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    if !capture_kept {
        let packet = u64::try_from(libc::AF_PACKET).unwrap_or(u64::MAX);
        let of_packets =
            SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, packet)?;
        rules.insert(libc::SYS_socket, vec![SeccompRule::new(vec![of_packets])?]);
    }
    let refuse = SeccompAction::Errno(u32::try_from(libc::EPERM).unwrap_or(1));
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)?;
    let program = BpfProgram::try_from(filter)?;
    seccompiler::apply_filter_all_threads(&program)?;
    Ok(())
}

/// Starting programs, looking into others, changing the machine, and the widest doors to the
/// kernel.
#[cfg(target_os = "linux")]
const REFUSED: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_personality,
    libc::SYS_open_by_handle_at,
    libc::SYS_mknodat,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
];

/// What must fail once rights are given up, tried: each with whether it was refused.
#[cfg(target_os = "linux")]
pub(crate) fn try_forbidden(config: &Config) -> Vec<(&'static str, bool)> {
    let landlock = config.privileges.landlock;
    let seccomp = config.privileges.seccomp;
    let mut tried = Vec::new();
    if !nix::unistd::Uid::effective().is_root() {
        let became = nix::unistd::setuid(nix::unistd::Uid::from_raw(0));
        tried.push(("become root again", became.is_err()));
    }
    if !keeps_capture(config) {
        let socket = dwell_capture::LiveSource::open(dwell_capture::LiveConfig::new("lo"));
        tried.push(("open a packet socket", socket.is_err()));
    }
    if seccomp {
        let started = std::process::Command::new("/bin/true").status();
        tried.push(("start a program", started.is_err()));
        let unshared = std::os::unix::fs::chroot("/").is_err();
        tried.push(("change the root folder", unshared));
    }
    if landlock {
        tried.push(("read /etc/passwd", std::fs::read("/etc/passwd").is_err()));
        let stranger = std::env::temp_dir().join("dwell-sandbox-probe");
        let written = std::fs::write(&stranger, b"x");
        if written.is_ok() {
            let _ = std::fs::remove_file(&stranger);
        }
        tried.push(("write a file elsewhere", written.is_err()));
    }
    tried
}

/// What must fail once rights are given up: nothing where none are.
#[cfg(not(target_os = "linux"))]
pub(crate) fn try_forbidden(_config: &Config) -> Vec<(&'static str, bool)> {
    Vec::new()
}
