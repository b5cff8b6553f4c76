#!/usr/bin/env bash
# Build the image for training jobs and push it to ECR.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: sagemaker/build_and_push.sh --region REGION [--repository NAME] [--account ID] [--base IMAGE] [--dry_run]

Builds the Dockerfile on AWS's TensorFlow training image, creates the ECR repository if it is missing, logs in, tags the
image with the commit and as latest, and pushes both tags. The last line printed is the --image_uri for launch.py.

  --region REGION      region of the repository
  --repository NAME    name of the repository; the default is eggseg
  --account ID         your account; the default is the account of your AWS credentials
  --base IMAGE         base image; the default is AWS's image for TensorFlow 2.21 on GPUs
  --dry_run            print the commands without running them

It needs docker, git and the AWS CLI. The default --base needs a Python with eggseg's extra sagemaker; set PYTHON to it.
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
        *) fail "unknown argument $1: --help lists the arguments" ;;
    esac
done

[ -n "$region" ] || fail "--region is missing, for example eu-west-1"
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
    [ -z "$dry_run" ] || fail "--dry_run does not ask AWS: set --account"
    account=$(aws sts get-caller-identity --query Account --output text) || fail "AWS accepts no credentials of yours: run aws configure"
fi
if [ -z "$base" ]; then
    base=$(PYTHONPATH=sagemaker "${PYTHON:-python3}" -c "
import sending
print(sending.image('training', '$region', 'ml.g5.xlarge'))
" 2>/dev/null | tail -n 1) || fail "the default image is not known: pip install '.[sagemaker]', or set --base"
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

# AWS's own image is in a registry of AWS, which needs a login too.
if [[ ${base%%/*} == *.dkr.ecr.* ]]; then
    login "${base%%/*}"
fi
run docker build --build-arg "BASE=$base" --build-arg RUN_AS=root --tag "$image:$commit" --tag "$image:latest" .
login "$registry"
ensure_repository
run docker push "$image:$commit"
run docker push "$image:latest"
echo "$image:$commit"
