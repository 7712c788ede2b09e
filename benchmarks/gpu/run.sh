#!/usr/bin/env bash
# Everything that needs a GPU, in one command for a machine that is at hand for some minutes only.
#
#     bash benchmarks/gpu/run.sh OUT [--parts tests,speed,train,lite] [--minutes 5] [options of train.py]
#     bash benchmarks/gpu/run.sh --rehearse          # on a CPU with tiny numbers, in three minutes
#
# Runs offline, from the working tree, with the packages found there. Each part has a limit of its own, a part
# that fails leaves the others their time, and what a part has written is kept. `tables.py OUT` turns the
# results into the tables of docs/gpu.md.
set -uo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3}
export PYTHONPATH="$PWD/src:$PWD/benchmarks:$PWD/benchmarks/gpu:$PWD${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1

parts=tests,speed,train,lite minutes=5 rehearse=
if [ "${1:-}" = --rehearse ]; then
    rehearse=yes out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
else
    out=${1:?a folder for the results}
fi
shift
while [ $# -gt 0 ]; do
    case $1 in
        --parts) parts=$2; shift 2 ;;
        --minutes) minutes=$2; shift 2 ;;
        *) break ;;
    esac
done
mkdir -p "$out"
limit_of_training=$(awk -v minutes="$minutes" 'BEGIN { printf "%d", 60 * minutes + 120 }')
failed=0

part() {  # NAME SECONDS COMMAND...
    case ",$parts," in *",$1,"*) ;; *) return 0 ;; esac
    local name=$1 limit=$2 began=$SECONDS
    shift 2
    echo "== $name (at most $limit s)"
    timeout --kill-after=10 "$limit" "$@" 2>&1 | tee -a "$out/log"
    local code=${PIPESTATUS[0]}
    echo "== $name: exit $code after $((SECONDS - began)) s"
    [ "$code" = 0 ] || failed=1
}

lite() {  # SAMPLES HELD_OUT CROP ITERATIONS BATCH MINUTES: the default goes on from its bundled weights
    "$PYTHON" -m napari_xfusion train scenes -o "$out/lite" --variant lite --init lite --samples "$1" --held-out "$2" \
        --crop "$3" --iterations "$4" --batch "$5" --minutes "$6" --rate 3e-4
}
export -f lite
export PYTHON out

"$PYTHON" benchmarks/gpu/machine.py | tee "$out/machine.json"
here=gpu
grep -q '"device": "CPU"' "$out/machine.json" && here=cpu
gpu_tests=$(grep -rl --include='test_*.py' 'mark.gpu' tests)  # the others need packages that may not be here
if [ -n "$rehearse" ]; then
    part tests 120 "$PYTHON" -m pytest -c benchmarks/gpu/pytest.ini --rootdir=. -q -m gpu $gpu_tests --collect-only
    part speed 120 "$PYTHON" benchmarks/gpu/speed.py -o "$out" --device cpu --size 32 48 --frames 4 --step 2
    part train 120 "$PYTHON" benchmarks/gpu/train.py -o "$out" --device cpu --minutes 0.1 --crop 32 --batch 2 \
        --channels 8 --capacity 16 --processes 1 --held-out 7 --scratch "$out/rings"
    part train 120 "$PYTHON" benchmarks/gpu/train.py -o "$out" --device cpu --minutes 0.1 --crop 32 --batch 2 \
        --channels 8 --capacity 16 --processes 1 --held-out 7 --scratch "$out/rings" --init "$out"
    part lite 120 bash -c 'lite 9 9 32 4 2 1'
    "$PYTHON" benchmarks/gpu/tables.py "$out" || failed=1
elif [ "$here" = cpu ]; then
    echo "no usable GPU: the tests and the speed table are skipped" >&2
    part train "$limit_of_training" "$PYTHON" benchmarks/gpu/train.py -o "$out" --minutes "$minutes" "$@"
else
    workers=$("$PYTHON" -c 'import xdist; print("-p xdist.plugin -n 4")' 2>/dev/null)
    part tests 200 "$PYTHON" -m pytest -c benchmarks/gpu/pytest.ini --rootdir=. -q -m gpu $gpu_tests \
        $workers --junitxml="$out/tests.xml"
    part train "$limit_of_training" "$PYTHON" benchmarks/gpu/train.py -o "$out" --minutes "$minutes" "$@"
    part lite "$limit_of_training" bash -c "lite 9000 252 128 6000 32 $minutes"
    part speed 150 "$PYTHON" benchmarks/gpu/speed.py -o "$out"
fi
exit $failed
