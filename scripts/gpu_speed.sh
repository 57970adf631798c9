#!/usr/bin/env bash
# How fast one GPU protects, in five minutes: the network in batches, in float32 and bfloat16, one
# photograph end to end, and some hundred images in one run. Writes OUT.json and a page, OUT.md.
# Set in the environment:
#
#   OUT      where to, without suffix (gpu-speed)
#   BATCHES  images at once (1,4,16,64)
#   SIZES    of the photographs (1024x768,4000x3000)
#   REPEATS  of every measurement (5)
#   LONG     images of the long run (300)
#   MINUTES  after which everything is stopped (5)
#   EXTRA    further options of unseg benchmark, such as "--masks-only --no-reference"
#   DEVICE   cuda, or cpu to try the script out (cuda)
#   UNSEG    the command (unseg)
set -euo pipefail

out=${OUT:-gpu-speed} minutes=${MINUTES:-5} device=${DEVICE:-cuda}
read -r -a unseg <<<"${UNSEG:-unseg}"
read -r -a extra <<<"${EXTRA:-}"

if [[ $device == cuda ]]; then
  nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
  python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
    echo "PyTorch sees no GPU: install its CUDA build, or try the script out with DEVICE=cpu" >&2
    exit 1
  }
fi

code=0
timeout --signal=TERM --kill-after=10 "${minutes}m" \
  "${unseg[@]}" benchmark --device "$device" --batches "${BATCHES:-1,4,16,64}" \
  --sizes "${SIZES:-1024x768,4000x3000}" --repeats "${REPEATS:-5}" --long "${LONG:-300}" \
  ${extra[@]+"${extra[@]}"} -o "$out.json" --markdown "$out.md" || code=$?
if [[ $code == 124 || $code == 137 ]]; then
  echo "stopped after $minutes min: give fewer BATCHES, REPEATS or LONG, or more MINUTES" >&2
fi
exit "$code"
