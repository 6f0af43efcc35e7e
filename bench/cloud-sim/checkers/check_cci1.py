"""Drives the CCI 1.0 facade with clients that this project did not write: Huawei's SDK core (request signing) and the
Kubernetes client (wire format). Every assertion is on fields as those clients parsed them.

Usage: check_cci1.py http://127.0.0.1:PORT AK SK PROJECT TOKEN   (the namespace `checker` must exist, with a Network)
Needs the packages huaweicloudsdkcore and kubernetes.
"""
import json
import sys
import time
from decimal import Decimal
from types import SimpleNamespace

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.client import Client, ClientBuilder
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.sdk_response import SdkResponse
from kubernetes import client as k8s
from kubernetes import watch
from kubernetes.client.rest import ApiException
from kubernetes.utils.quantity import parse_quantity

ENDPOINT, AK, SK, PROJECT, TOKEN = sys.argv[1:6]
PODS = "/api/v1/namespaces/checker/pods"


class Raw(SdkResponse):
    openapi_types, attribute_map, sensitive_list = {}, {}, []

    def __init__(self):
        super().__init__()


class Cci(Client):
    def __init__(self):
        super().__init__()
        self.model_package = SimpleNamespace(Raw=Raw)

    def call(self, method, path, query=(), body=None, ctype="application/json"):
        answer = self.do_http_request(
            method=method, resource_path=path, path_params={}, query_params=list(query),
            header_params={"Content-Type": ctype}, body=body, post_params={}, response_type="Raw",
            response_headers=[], collection_formats={})
        return json.loads(answer.raw_content)


def signed(secret):
    credentials = BasicCredentials(AK, secret, PROJECT)
    return ClientBuilder(Cci, "BasicCredentials").with_credentials(credentials).with_endpoint(ENDPOINT).build()


def pod(name):
    size = {"cpu": "500m", "memory": "1Gi"}
    container = {"name": "c", "image": "busybox", "resources": {"limits": size, "requests": size}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
            "spec": {"containers": [container]}}


def refused(call, status, code):
    try:
        call()
    except ClientRequestException as error:
        assert (error.status_code, str(error.error_code)) == (status, code), error
        return
    raise AssertionError(f"not refused: {status} {code}")


def check_signing():
    cci = signed(SK)
    created = cci.call("POST", PODS, body=pod("signed"))
    assert created["metadata"]["annotations"]["resource.cci.io/size"] == "0.50_1.0", created
    query = [("limit", "500"), ("labelSelector", "app in (web, x),!gone"), ("fieldSelector", "metadata.name=signed")]
    listed = cci.call("GET", PODS, query=query)
    assert [item["metadata"]["name"] for item in listed["items"]] == ["signed"], listed
    patch = {"metadata": {"labels": {"patched": "yes"}}}
    for ctype in ("application/merge-patch+json", "application/strategic-merge-patch+json"):
        changed = cci.call("PATCH", f"{PODS}/signed", body=patch, ctype=ctype)
        assert changed["metadata"]["labels"]["patched"] == "yes", changed
    refused(lambda: cci.call("GET", f"{PODS}/none"), 404, "404")
    refused(lambda: signed("wrong").call("GET", PODS), 401, "APIGW.0301")
    gone = cci.call("DELETE", f"{PODS}/signed", query=[("gracePeriodSeconds", "0")])
    assert gone["metadata"]["deletionTimestamp"], gone


def check_wire_format():
    configuration = k8s.Configuration()
    configuration.host = ENDPOINT
    api_client = k8s.ApiClient(configuration)
    api_client.set_default_header("X-Auth-Token", TOKEN)
    api = k8s.CoreV1Api(api_client)
    created = api.create_namespaced_pod("checker", pod("parsed"))
    assert isinstance(created, k8s.V1Pod) and created.metadata.uid and created.status.phase == "Pending"
    running = None
    for event in watch.Watch().stream(api.list_namespaced_pod, "checker", timeout_seconds=3):
        found = event["object"]
        if found.metadata.name == "parsed" and found.status.phase == "Running":
            running = found
            break
    status = running.status.container_statuses[0]
    assert status.ready and status.state.running.started_at and running.status.pod_ip, running
    assert {c.type: c.status for c in running.status.conditions}["Ready"] == "True"
    assert running.metadata.finalizers == ["billing.kubernetes.io/podbilling-finalizer"]
    assert api.list_namespaced_pod("checker", limit=1).metadata.resource_version
    assert api.read_namespaced_pod_log("parsed", "checker") is not None
    metrics = k8s.CustomObjectsApi(api_client)
    used = metrics.list_namespaced_custom_object("metrics.k8s.io", "v1beta1", "checker", "pods")["items"][0]
    assert used["metadata"]["name"] == "parsed" and used["timestamp"] and used["window"], used
    # A tenth of half a core and of 1 Gi.
    assert parse_quantity(used["containers"][0]["usage"]["cpu"]) == Decimal("0.05"), used
    assert parse_quantity(used["containers"][0]["usage"]["memory"]) == (1 << 30) // 10 // 1024 * 1024, used
    try:
        api.create_namespaced_pod("checker", pod("parsed"))
        raise AssertionError("created twice")
    except ApiException as error:
        assert error.status == 409 and json.loads(error.body)["reason"] == "AlreadyExists", error
    wrong = k8s.V1DeleteOptions(preconditions=k8s.V1Preconditions(uid="other"))
    try:
        api.delete_namespaced_pod("parsed", "checker", body=wrong)
        raise AssertionError("deleted the wrong pod")
    except ApiException as error:
        assert error.status == 409, error
    api.delete_namespaced_pod("parsed", "checker", grace_period_seconds=0)
    for _ in range(200):
        if not api.list_namespaced_pod("checker").items:
            return
        time.sleep(0.05)
    raise AssertionError("instances are left")


check_signing()
check_wire_format()
print("the vendor's SDK and the Kubernetes client agree with the simulator")
