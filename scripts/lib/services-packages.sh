# Part of scripts/services: installing what the servers need.
# shellcheck shell=bash disable=SC2153,SC2154

apt_has_candidate() {
	local line
	line=$(LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep -F 'Candidate:') || return 1
	[[ $line != *'(none)'* ]]
}

# install_packages NAME...: what is missing for these servers, in one go.
install_packages() {
	local name pkg
	local -a want=()
	for name in "$@"; do
		mapfile -t -O "${#want[@]}" want < <("packages_$name")
	done
	((${#want[@]})) || return 0
	have apt-get || die "missing: ${want[*]}; this script can install Debian packages only"
	local -a sudo=()
	if ! is_root; then
		{ have sudo && sudo -n true 2>/dev/null; } ||
			die "missing packages; as root: apt-get install ${want[*]}"
		sudo=(sudo -n)
	fi
	say services "installing ${want[*]}"

	local log fresh=0
	log=$(mktemp)
	local -a apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y
		-o DPkg::Lock::Timeout=300)
	local -a install=("${apt[@]}" install --no-install-recommends --no-remove)
	for pkg in "${want[@]}"; do
		apt_has_candidate "$pkg" || fresh=1
	done
	hold_services
	if ((fresh)) || ! "${install[@]}" "${want[@]}" >"$log" 2>&1 </dev/null; then
		"${apt[@]}" update >"$log" 2>&1 </dev/null || {
			tail -n 15 "$log" >&2
			die 'apt-get update failed'
		}
		local i
		for i in "${!want[@]}"; do
			if [[ ${want[i]} == postgresql-15 ]] && ! apt_has_candidate postgresql-15; then
				want[i]=postgresql
			fi
		done
		"${install[@]}" "${want[@]}" >"$log" 2>&1 </dev/null || {
			tail -n 15 "$log" >&2
			die "apt-get install ${want[*]} failed"
		}
	fi
	release_services
	rm -f "$log"
	# The packages' own services shall not start at the next boot either.
	if have systemctl; then
		for pkg in "${want[@]}"; do
			case $pkg in
			postgresql*) "${sudo[@]}" systemctl disable postgresql ;;
			mariadb-server) "${sudo[@]}" systemctl disable mariadb ;;
			redis-server) "${sudo[@]}" systemctl disable redis-server ;;
			rabbitmq-server) "${sudo[@]}" systemctl disable rabbitmq-server epmd.socket epmd ;;
			esac >/dev/null 2>&1 || true
		done
	fi
	for name in "$@"; do
		[[ -z $("packages_$name") ]] || die "$name: still missing after the installation: $("packages_$name" | xargs)"
	done
}

HOLD=() # the command that ends the holding

# While packages are installed, policy-rc.d keeps their services from starting.
hold_services() {
	[[ -e /usr/sbin/policy-rc.d ]] && return 0
	HOLD=("${sudo[@]}" rm -f /usr/sbin/policy-rc.d)
	trap release_services EXIT
	printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee /usr/sbin/policy-rc.d >/dev/null
	"${sudo[@]}" chmod 755 /usr/sbin/policy-rc.d
}

release_services() {
	((${#HOLD[@]})) || return 0
	"${HOLD[@]}"
	HOLD=()
	trap - EXIT
}
