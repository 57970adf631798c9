#!/usr/bin/env bash
# Streets and people at 512 pixels and ten times the steps of the suite `real`, on one GPU.
#
# Results are stored one file a run, as always; what is there already is not made again, so the
# script may be stopped and started as often as one likes. Set in the environment:
#
#   SUITE    the suite (gpu)
#   ONLY     options that keep some of its runs, such as "--task person --seed 0"
#   JOBS     runs at once (6)
#   MINUTES  after which everything is stopped (8)
#   DATA     folder of the data sets (data)
#   OUT      folder of the results (results/gpu)
#   CACHE    folder of protected images (unseg-cache)
#   DEVICE   cuda, or cpu to try the script out (cuda)
#   UNSEG    the command (unseg)
set -euo pipefail

suite=${SUITE:-gpu} jobs=${JOBS:-6} minutes=${MINUTES:-8} device=${DEVICE:-cuda}
data=${DATA:-data} out=${OUT:-results/gpu} cache=${CACHE:-unseg-cache}
read -r -a unseg <<<"${UNSEG:-unseg}"
read -r -a only <<<"${ONLY:-}"

if [[ $device == cuda ]]; then
  nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
  python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
    echo "PyTorch sees no GPU: install its CUDA build, or try the script out with DEVICE=cpu" >&2
    exit 1
  }
fi

arguments=(
  evaluate --suite "$suite" ${only[@]+"${only[@]}"} --device "$device" -o "$out" --panels none
)
# A suite that makes its own data takes none.
[[ -d $data ]] && arguments+=(--data "$data")

code=0
timeout --signal=TERM --kill-after=10 "${minutes}m" \
  "${unseg[@]}" "${arguments[@]}" --jobs "$jobs" --cache "$cache" || code=$?
if [[ $code == 124 || $code == 137 ]]; then
  echo "stopped after $minutes min; what is stored:" >&2
  "${unseg[@]}" "${arguments[@]}" --stored
  exit 0
fi
exit "$code"
