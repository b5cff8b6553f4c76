#!/usr/bin/env bash
# Build the image that jobs run in, and push it to ECR.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: sagemaker/build_and_push.sh --region REGION [--repository NAME] [--account ID] [--base IMAGE] [--dry_run]

Builds the Dockerfile on AWS's TensorFlow training image, makes the ECR repository where there is none, logs in, tags the
image with the commit and as latest, and pushes both. What launch.py takes as --image_uri is printed last.

  --region REGION      where the repository lies
  --repository NAME    its name; eggseg unless told
  --account ID         your account; asked of AWS unless told
  --base IMAGE         image to build on; AWS's, for TensorFlow 2.21 on GPUs, unless told
  --dry_run            print the commands and run none

It needs docker, git, the AWS CLI, and for the default --base Python with eggseg's extra sagemaker (PYTHON says which).
USAGE
}

fail() {
    echo "error: $1" >&2
    exit 2
}

region='' repository=eggseg account='' base='' dry_run=''
while [ $# -gt 0 ]; do
    case $1 in
        --region | --repository | --account | --base)
            [ $# -ge 2 ] || fail "$1 takes a value"
            printf -v "${1#--}" '%s' "$2"
            shift 2
            ;;
        --dry_run) dry_run=yes && shift ;;
        -h | --help) usage && exit 0 ;;
        *) fail "unknown argument $1: --help tells what there is" ;;
    esac
done

[ -n "$region" ] || fail "--region is missing, eu-west-1 for one"
[[ $region =~ ^[a-z]{2}(-[a-z]+)+-[0-9]$ ]] || fail "--region is '$region', expected one such as eu-west-1"
[[ $repository =~ ^[a-z0-9]+([._/-][a-z0-9]+)*$ ]] || fail "--repository is '$repository', expected lower case, such as eggseg"
[[ -z $account || $account =~ ^[0-9]{12}$ ]] || fail "--account is '$account', expected 12 digits"

run() {
    if [ -n "$dry_run" ]; then
        printf '%q ' "$@" | sed 's/ $//'
        echo
    else
        "$@"
    fi
}

needs() {
    [ -n "$dry_run" ] || command -v "$1" >/dev/null || fail "$1 is not installed"
}

cd "$(dirname "$0")/.."
needs docker
needs aws
command -v git >/dev/null || fail "git is not installed"

if [ -z "$account" ]; then
    [ -z "$dry_run" ] || fail "--dry_run asks nobody: --account says which it would be"
    account=$(aws sts get-caller-identity --query Account --output text) || fail "AWS does not know you: aws configure"
fi
if [ -z "$base" ]; then
    base=$(PYTHONPATH=sagemaker "${PYTHON:-python3}" -c "
import sending
print(sending.image('training', '$region', 'ml.g5.xlarge'))
" 2>/dev/null | tail -n 1) || fail "the default image is not known: pip install '.[sagemaker]', or --base says which image"
fi

commit=$(git rev-parse --short=12 HEAD)
[ -z "$(git status --porcelain)" ] || commit="$commit-changed"
suffix=amazonaws.com
[[ $region != cn-* ]] || suffix=amazonaws.com.cn
registry="$account.dkr.ecr.$region.$suffix"
image="$registry/$repository"

login() {
    local ask=(aws ecr get-login-password --region "$region")
    local enter=(docker login --username AWS --password-stdin "$1")
    if [ -n "$dry_run" ]; then
        echo "$(run "${ask[@]}") | $(run "${enter[@]}")"
    else
        "${ask[@]}" | "${enter[@]}"
    fi
}

ensure_repository() {
    local look=(aws ecr describe-repositories --region "$region" --repository-names "$repository")
    local make=(aws ecr create-repository --region "$region" --repository-name "$repository")
    if [ -n "$dry_run" ]; then
        echo "$(run "${look[@]}") || $(run "${make[@]}")"
    else
        "${look[@]}" >/dev/null 2>&1 || "${make[@]}" >/dev/null
    fi
}

# AWS's own image lies in a registry of AWS's, which wants a login too.
if [[ ${base%%/*} == *.dkr.ecr.* ]]; then
    login "${base%%/*}"
fi
run docker build --build-arg "BASE=$base" --build-arg RUN_AS=root --tag "$image:$commit" --tag "$image:latest" .
login "$registry"
ensure_repository
run docker push "$image:$commit"
run docker push "$image:latest"
echo "$image:$commit"
