"""Drives the CCI 2.0 facade with clients that this project did not write: Huawei's SDK core (request signing) and the
Kubernetes client's custom objects (wire format). Every assertion is on fields as those clients parsed them.

Usage: check_cci2.py http://127.0.0.1:PORT AK SK PROJECT TOKEN
Needs the packages huaweicloudsdkcore and kubernetes.
"""
import json
import sys
import time
from types import SimpleNamespace

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.client import Client, ClientBuilder
from huaweicloudsdkcore.sdk_response import SdkResponse
from kubernetes import client as k8s
from kubernetes import watch
from kubernetes.client.rest import ApiException

ENDPOINT, AK, SK, PROJECT, TOKEN = sys.argv[1:6]
NAMESPACE = "bursting-c1"
PODS = f"/apis/cci/v2/namespaces/{NAMESPACE}/pods"


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


def pod(name, api_version="cci/v2", **annotations):
    size = {"cpu": "1500m", "memory": "3Gi"}
    container = {"name": "c", "image": "busybox", "resources": {"limits": size, "requests": size}}
    return {"apiVersion": api_version, "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}, "annotations": annotations},
            "spec": {"containers": [container], "tolerations": [{"operator": "Exists"}], "nodeSelector": {"type": "virtual-kubelet"}}}


def kubernetes():
    configuration = k8s.Configuration()
    configuration.host = ENDPOINT
    api_client = k8s.ApiClient(configuration)
    api_client.set_default_header("X-Auth-Token", TOKEN)
    return k8s.CustomObjectsApi(api_client)


def until(read, wanted, what):
    last = None
    for _ in range(200):
        last = read()
        if wanted(last):
            return last
        time.sleep(0.05)
    raise AssertionError(f"{what}: {last}")


def check_wire_format(api):
    api.create_cluster_custom_object("cci", "v2", "namespaces", {
        "apiVersion": "cci/v2", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    network = {"apiVersion": "yangtse/v2", "kind": "Network", "metadata": {"name": "n", "annotations": {
        "yangtse.io/domain-id": "d", "yangtse.io/project-id": PROJECT}},
        "spec": {"networkType": "underlay_neutron", "subnets": [{"subnetID": "s"}], "ipFamilies": ["IPv4"]}}
    api.create_namespaced_custom_object("yangtse", "v2", NAMESPACE, "networks", network)
    ready = until(lambda: api.get_namespaced_custom_object("yangtse", "v2", NAMESPACE, "networks", "n"),
                  lambda n: n["status"]["status"] == "Ready", "the network")
    assert ready["apiVersion"] == "yangtse/v2" and {c["type"] for c in ready["status"]["conditions"]} >= {"NetworkSynced"}, ready
    created = api.create_namespaced_custom_object("cci", "v2", NAMESPACE, "pods", pod("raised", api_version="v1"))
    assert (created["apiVersion"], created["kind"]) == ("cci/v2", "Pod"), created
    assert created["metadata"]["annotations"]["resource.cci.io/size"] == "2.00_3.0", created
    assert "tolerations" not in created["spec"] and "nodeSelector" not in created["spec"], created
    running = None
    for event in watch.Watch().stream(api.list_namespaced_custom_object, "cci", "v2", NAMESPACE, "pods", timeout_seconds=5):
        found = event["object"]
        assert found["apiVersion"] == "cci/v2", found
        if found["status"]["phase"] == "Running":
            running = found
            break
    assert running["status"]["podIP"] and running["status"]["containerStatuses"][0]["ready"], running
    listed = api.list_namespaced_custom_object("cci", "v2", NAMESPACE, "pods", label_selector="app=web")
    assert (listed["kind"], listed["apiVersion"], len(listed["items"])) == ("PodList", "cci/v2", 1), listed
    try:
        api.create_namespaced_custom_object("cci", "v2", NAMESPACE, "pods", pod("odd", **{"resource.cci.io/pod-size-specs": "9.00_9.0"}))
        raise AssertionError("a size that is not sold")
    except ApiException as error:
        assert error.status == 422 and json.loads(error.body)["reason"] == "Invalid", error


def check_signing():
    credentials = BasicCredentials(AK, SK, PROJECT)
    cci = ClientBuilder(Cci, "BasicCredentials").with_credentials(credentials).with_endpoint(ENDPOINT).build()
    named = cci.call("POST", PODS, body=pod("named", **{"resource.cci.io/pod-size-specs": "4.00_8.0"}))
    assert named["metadata"]["annotations"]["resource.cci.io/size"] == "4.00_8.0", named
    patch = [{"op": "add", "path": "/metadata/labels/patched", "value": "yes"}]
    changed = cci.call("PATCH", f"{PODS}/named", body=patch, ctype="application/json-patch+json")
    assert changed["metadata"]["labels"]["patched"] == "yes", changed
    for name in ("named", "raised"):
        cci.call("DELETE", f"{PODS}/{name}", query=[("gracePeriodSeconds", "0")])
    until(lambda: cci.call("GET", PODS)["items"], lambda items: not items, "instances are left")


check_wire_format(kubernetes())
check_signing()
print("Huawei's SDK core and the Kubernetes client agree with the simulator")
