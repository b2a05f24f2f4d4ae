//! A minimal container runtime: namespaces, pivot_root, capabilities, seccomp, cgroups
