#!/bin/bash
# SPDX-License-Identifier: MIT
# panbind import of what strace prints: all of its forms give the same calls, and what is not in them is said.
# shellcheck source=tests/shell/cli.sh
. "$(dirname "$0")/cli.sh"

# ---- The forms, as strace 6 writes them ----
names='DRM_IOCTL_AMDGPU_BO_LIST or DRM_IOCTL_MSM_GEM_INFO'
cat >ttt.txt <<TEXT
2065  1795684339.656317 openat(AT_FDCWD, "/dev/dri/renderD128", O_RDWR|O_CLOEXEC) = 3
2065  1795684339.657010 ioctl(3, DRM_IOCTL_EXYNOS_GEM_MAP or DRM_IOCTL_LIMA_GEM_CREATE, 0x7fff09930d50) = 0 <0.000100>
2065  1795684339.657114 ioctl(3, $names, 0x7fff09930d50) = 0 <0.000012>
2066  1795684339.657162 ioctl(3, $names, 0x7f18ab085cc0 <unfinished ...>
2065  1795684339.657242 ioctl(3, _IOC(_IOC_READ|_IOC_WRITE, 0x64, 0xc3, 0x28), 0x7fff09930d50 <unfinished ...>
2066  1795684339.657300 <... ioctl resumed>) = -1 EINVAL (Invalid argument) <0.000141>
2065  1795684339.657898 <... ioctl resumed>) = -1 ETIME (Timer expired) <0.000655>
2065  1795684339.658000 --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=2065, si_uid=0} ---
2065  1795684339.658100 ioctl(1, TCGETS, {c_iflag=ICRNL|IXON, ...}) = 0 <0.000011>
2065  1795684339.658200 ioctl(3, DRM_IOCTL_GEM_CLOSE, 0x7fff09930d50) = 0 <0.000009>
2066  1795684339.658300 ioctl(3, $names, 0x7fff09930d50 <unfinished ...>
2066  1795684339.658400 +++ killed by SIGKILL +++
2065  1795684339.658500 +++ exited with 0 +++
TEXT
status "a file of strace -f -ttt -T" 0 "$PANBIND" -j import --format=perfetto ttt.txt
json "what was in it, and what was not" '.strace | tojson' \
	'{"ioctls":5,"binds":2,"others":1,"signals":1,"exits":2,"unfinished":1,"not_understood":0}'
like "is said" "$(err)" "5 ioctls of DRM nodes, 2 of them VM_BINDs; .* nothing of what they bound"
like "what is left out, too" "$(err)" "left out: 1 other ioctls, 1 that never returned, 0 that are not understood"
jq -r .trace "$TMP/out" >ttt.json
# calls FILE: each slice as thread, name, duration in ns, result, in order.
calls() { jq -c '[.traceEvents[] | select(.ph == "X")] | sort_by(.ts)[] | [.tid, .name, (.dur * 1000 | round), .args.result]' "$1"; }
is "each call with its thread, duration and result" "$(calls ttt.json)" '[2065,"PANTHOR_VM_CREATE",100000,"ok"]
[2065,"PANTHOR_VM_BIND",12000,"ok"]
[2066,"PANTHOR_VM_BIND",141000,"EINVAL"]
[2065,"SYNCOBJ_WAIT",655000,"ETIME"]
[2065,"GEM_CLOSE",9000,"ok"]'
is "and its begin, also of one in two lines" "$(jq -c '[.traceEvents[] | select(.ph == "X") | .ts] | sort' ttt.json)" '[0,104,152,232,1190]'
wanted=$(calls ttt.json | jq -c '.[0] = 0 | .[2] = 0')

# form NAME FILE: the same calls by name and result.
form() {
	status "$1" 0 "$PANBIND" import --format=perfetto "$2"
	cp "$TMP/out" form.json
	is "$1: the same calls" "$(calls form.json | jq -c '.[0] = 0 | .[2] = 0')" "$wanted"
}
sed -E 's/^([0-9]+) +/[pid  \1] /' ttt.txt >terminal.txt
form "with [pid N]" terminal.txt
sed -E 's/ [0-9]+\.[0-9]{6} / /' ttt.txt >untimed.txt
form "without times: the order stays" untimed.txt
sed -E 's/ 1795684339\.([0-9]{6}) / 09:12:19.\1 /' ttt.txt >tt.txt
form "-tt" tt.txt
sed -E 's/ 1795684339\.([0-9]{6}) / 09:12:19 /' ttt.txt >t.txt
form "-t" t.txt
awk '{ sub(/1795684339\.[0-9]+/, "     0.000100"); print }' ttt.txt >r.txt
form "-r" r.txt
sed -E 's/ioctl\(3,/ioctl(3<\/dev\/dri\/renderD128<char 226:128>>,/; s/ioctl\(1,/ioctl(1<\/dev\/pts\/0<char 136:0>>,/' ttt.txt >yy.txt
form "-yy" yy.txt
raw() {
	sed -E 's/(DRM_IOCTL_AMDGPU_BO_LIST or DRM_IOCTL_MSM_GEM_INFO)/0xffffffffc0186443'"${1:+ \/* \1 *\/}"'/; s/DRM_IOCTL_EXYNOS_GEM_MAP or DRM_IOCTL_LIMA_GEM_CREATE/0xc0106441/
		s/_IOC\([^)]*\)/0xc02864c3/; s/DRM_IOCTL_GEM_CLOSE/0x40086409/; s/TCGETS/0x5401/; s/ioctl\(3,/ioctl('"${2:-3}"',/' ttt.txt
}
raw '' 0x3 >raw.txt
form "-e raw=ioctl" raw.txt
raw 1 >verbose.txt
form "-X verbose" verbose.txt
sed 's/DRM_IOCTL_AMDGPU_BO_LIST or/DRM_IOCTL_AMDGPU_BO_LIST or DRM_IOCTL_PANTHOR_VM_BIND or/' ttt.txt >newer.txt
form "a strace that knows panthor's names" newer.txt
xz -k ttt.txt
form "compressed" ttt.txt.xz
printf '%s\n' '7 23:59:59.900000 ioctl(3, DRM_IOCTL_VERSION, 0x7) = 0' '7 00:00:00.100000 ioctl(3, DRM_IOCTL_GEM_CLOSE, 0x7) = 0' >midnight.txt
"$PANBIND" -q import --format=perfetto midnight.txt >midnight.json
is "over midnight" "$(jq -c '[.traceEvents[] | select(.ph == "X") | .ts]' midnight.json)" '[0,200000]'
sed 's|/dev/dri/renderD128<char 226:128>|/dev/null<char 1:3>|' yy.txt >null.txt
status "other files, by their names" 0 "$PANBIND" -j import --format=perfetto null.txt
json "do not count" '.strace.ioctls, .strace.others' $'0\n6'
printf '%s\n' '7 1.5 ioctl(3, DRM_IOCTL_VERSION' '7 <... ioctl resumed>) = 0' '7 ioctl(x, 3) = 0' >odd.txt
status "lines that are not understood" 0 "$PANBIND" -j import --format=perfetto odd.txt
json "are counted" '.strace.not_understood' 3

# ---- A script and a log of it: what is known, and that the rest is not ----
status "as a script" 0 "$PANBIND" import ttt.txt
is "it does nothing" "$(grep -cv '^#' "$TMP/out")" 0
is "and tells a call a line" "$(grep -c '^# 1795684339\.' "$TMP/out")" 5
like "with all that is known" "$(out)" "^# 1795684339.657162 pid 2066 fd 3: PANTHOR_VM_BIND EINVAL, 141 us$"
status "which runs" 0 "$PANBIND" -d sim: run "$TMP/out"
status "as a log" 0 "$PANBIND" import --log=strace.db ttt.txt
status "it has the binds" 0 "$PANBIND" -j log show --log=strace.db
json "without ops" '[.entries[] | select(.kind == "bind") | [.pid, (.ops | length), .latency_ns, .comment]] | tojson' \
	'[[2065,0,12000,"what it bound is not in the trace"],[2066,0,141000,"what it bound is not in the trace"]]'
status "and can be verified" 0 "$PANBIND" log verify --log=strace.db
status "a benchmark of it" 1 "$PANBIND" -d sim: replay --bench strace.db
like "has nothing to repeat" "$(err)" "no bind in it"

# ---- strace itself, of a program with two threads and a child ----
cat >program.c <<'TEXT'
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
static int fd;
static void *bind(void *data)
{
	char block[64] = {0};
	for (int i = 0; i < 20; i++)
		ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 'd', 0x43, 24), block);
	return data;
}
int main(void)
{
	pthread_t thread;
	fd = open("/dev/null", O_RDWR);
	pthread_create(&thread, NULL, bind, NULL);
	bind(NULL);
	pthread_join(thread, NULL);
	if (fork() == 0) {
		bind(NULL);
		_exit(0);
	}
	wait(NULL);
	return 0;
}
TEXT
cc -pthread program.c -o program
if strace -f -o here.txt true 2>/dev/null; then
	for form in '-ttt -T' '' '-r' '-tt -X verbose' '-e raw=ioctl -T' '-X raw'; do
		# shellcheck disable=SC2086
		strace -f -e trace=ioctl $form -o here.txt ./program
		status "strace ${form:-without options}" 0 "$PANBIND" -j import --format=perfetto here.txt
		json "strace $form: sees 60 VM_BINDs of three threads, which all fail" \
			'.strace.binds, .strace.not_understood, (.trace | fromjson | [.traceEvents[] | select(.name == "PANTHOR_VM_BIND")] |
				length, ([.[].pid] | unique | length), ([.[].args.result] | unique | tojson))' $'60\n0\n60\n3\n["ENOTTY"]'
	done
else
	skip "strace itself" "it is not there, or may not trace"
fi

done_testing
