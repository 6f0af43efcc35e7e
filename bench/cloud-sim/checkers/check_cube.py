"""Drives the Cube facade with a client that this project did not write: UCloud's SDK, through a whole life cycle. Every
assertion is on fields as that client parsed them, or on the YAML that it handed back.

Usage: check_cube.py http://127.0.0.1:PORT PUBLIC_KEY PRIVATE_KEY PROJECT
Needs the packages ucloud-sdk-python3 and PyYAML.
"""
import base64
import json
import sys
import time
import urllib.request

import yaml
from ucloud.client import Client
from ucloud.core import exc

ENDPOINT, PUBLIC, PRIVATE, PROJECT = sys.argv[1:5]
ZONE, OTHER = "cn-bj2-05", "cn-bj2-04"
PLACE = {"Zone": ZONE, "VPCId": "uvnet-1", "SubnetId": "subnet-1"}


def control(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{ENDPOINT}/_sim/{path}", data=data)) as answer:
        return json.load(answer)


def sdk(private=PRIVATE, retries=0):
    return Client({"region": "cn-bj2", "project_id": PROJECT, "public_key": PUBLIC, "private_key": private,
                   "base_url": ENDPOINT, "max_retries": retries})


def refused(call, code):
    try:
        call()
    except exc.RetCodeException as error:
        assert error.code == code, error
        return
    raise AssertionError(f"not refused: {code}")


def until(read, wanted, what):
    last = None
    for _ in range(400):
        last = read()
        if wanted(last):
            return last
        time.sleep(0.025)
    raise AssertionError(f"{what}: {last}")


def encoded(pod):
    return base64.b64encode(yaml.safe_dump(pod, allow_unicode=True).encode()).decode()


def decoded(text):
    return yaml.safe_load(base64.b64decode(text)) if text else None


def pod(uid, image="uhub.service.ucloud.cn/library/web:1", memory="2Gi"):
    container = {
        "name": "web", "image": image, "command": ["sh", "-c", "echo '中文'"], "env": [{"name": "A", "value": "x y"}],
        "resources": {"limits": {"cpu": "1", "memory": memory}}, "volumeMounts": [{"name": "files", "mountPath": "/etc/x"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "uid": uid, "labels": {"app": "web"}},
            "spec": {"containers": [container], "restartPolicy": "Always",
                     "volumes": [{"name": "files", "configMap": {"a.txt": "hello"}}]}}


def check_life(cube):
    made = cube.create_cube_pod({"Pod": encoded(pod("uid-1")), "Group": "burst", "Tag": "Default", **PLACE})
    assert made["CubeId"].startswith("cube-"), made
    identity = made["CubeId"]
    assert decoded(made["Pod"])["metadata"]["cubeId"] == identity, made

    def got():
        return decoded(cube.get_cube_pod({"CubeId": identity, "Zone": ZONE})["Pod"])

    running = until(got, lambda p: p["status"]["phase"] == "Running", "Running")
    assert running["metadata"]["provider"] == {
        "chargeType": "Postpay", "containerCount": 1, "cpuPlatform": "Auto", "region": "cn-bj2", "zone": ZONE,
        "vpcId": "uvnet-1", "subnetId": "subnet-1"}, running
    status = running["status"]["containerStatuses"][0]
    assert (status["name"], status["ready"], status["restartCount"]) == ("web", True, 0), running
    assert status["state"]["running"]["startedAt"] and running["status"]["podIp"], running
    assert running["spec"]["containers"][0]["command"] == ["sh", "-c", "echo '中文'"], running
    by_uid = decoded(cube.get_cube_pod({"Uid": "uid-1"})["Pod"])
    assert by_uid["metadata"]["cubeId"] == identity, by_uid
    listed = cube.list_cube_pod({"Zone": ZONE, "Limit": 100, "Offset": 0, "Group": "burst"})
    assert listed["TotalCount"] == 1 and decoded(listed["Pods"][0])["metadata"]["uid"] == "uid-1", listed
    assert cube.list_cube_pod({"Zone": OTHER})["TotalCount"] == 0
    control("hold", {"id": identity, "held": True})
    renewed = pod("uid-1", image="uhub.service.ucloud.cn/library/web:2")
    answer = cube.renew_cube_pod({"CubeId": identity, "Zone": ZONE, "Pod": encoded(renewed)})
    assert decoded(answer["Pod"])["spec"]["containers"][0]["image"].endswith(":2"), answer
    assert got()["status"]["phase"] == "ContainerCreating"
    control("hold", {"id": identity, "held": False})
    again = until(got, lambda p: p["status"]["phase"] == "Running", "renewed")
    assert again["status"]["podIp"] == running["status"]["podIp"], again
    refused(lambda: cube.renew_cube_pod({"CubeId": identity, "Zone": ZONE, "Pod": encoded(pod("uid-1", memory="4Gi"))}), 230)
    cube.reboot_cube_pod({"CubeId": identity, "Zone": ZONE})
    until(got, lambda p: p["status"]["phase"] == "Running", "rebooted")
    return identity


def check_more(client, identity):
    cube, unet = client.cube(), client.unet()
    cube.modify_cube_extend_info({"CubeId": identity, "Name": "renamed", "Zone": ZONE})
    assert cube.modify_cube_tag({"CubeId": identity, "Tag": "blue", "Zone": ZONE})["CubeId"] == identity
    address = unet.allocate_eip({"OperatorName": "Bgp", "Bandwidth": 2, "Name": "shop-web"})["EIPSet"][0]
    unet.bind_eip({"EIPId": address["EIPId"], "ResourceType": "cube", "ResourceId": identity})
    listed = unet.describe_eip({"Limit": 100, "Offset": 0})
    assert listed["TotalCount"] == 1 and listed["UnbindCount"] == 0, listed
    shown = listed["EIPSet"][0]
    assert (shown["Name"], shown["Status"], shown["EIPId"]) == ("shop-web", "used", address["EIPId"]), listed
    info = cube.get_cube_extend_info({"CubeIds": identity, "Zone": ZONE})["ExtendInfo"][0]
    assert (info["Name"], info["Tag"], info["Expiration"]) == ("renamed", "blue", 0), info
    assert info["Eip"][0]["EIPId"] == address["EIPId"] and info["Eip"][0]["EIPAddr"][0]["IP"], info
    ask = {"CubeId": identity, "ContainerName": "web", "Zone": ZONE}
    link = cube.get_cube_exec_token(ask)
    assert link["Token"] and link["TerminalUrl"].startswith("https://"), link
    assert cube.get_cube_token(ask)["Token"]
    refused(lambda: cube.get_cube_token({**ask, "ContainerName": "none"}), 230)
    metric = cube.get_cube_metrics({"ResourceId": identity, "MetricName": "CpuUsage", "ContainerName": "web",
                                    "BeginTime": "1700000000", "EndTime": "1700000300", "Zone": ZONE})
    values = metric["DataSets"][0]["Values"]
    assert metric["DataSets"][0]["MetricName"] == "CpuUsage" and len(values) == 6 and values[0]["Value"] == 10.0, metric
    price = cube.get_cube_price({"ChargeType": "Month", "Count": "1", "Cpu": "1000", "Mem": "2048", "Quantity": 1, "Zone": ZONE})
    assert (price["Price"], price["OriginalPrice"]) == (8400, 8400), price


def check_errors(client):
    cube = client.cube()
    create = {"Pod": encoded(pod("uid-2")), **PLACE}
    refused(lambda: sdk("wrong").cube().list_cube_pod({"Zone": ZONE}), 171)
    refused(lambda: cube.list_cube_pod({"Zone": "cn-none-01"}), 240)
    refused(lambda: cube.create_cube_pod({**create, "Pod": encoded(pod("u", memory="3Gi"))}), 230)
    refused(lambda: cube.create_cube_pod({**create, "Pod": encoded(pod("u", image="nginx"))}), 230)
    refused(lambda: cube.delete_cube_pod({"CubeId": "cube-none", "Zone": ZONE}), 230)
    assert cube.get_cube_pod({"CubeId": "cube-none"})["Pod"] == ""
    control("account", {"state": "lowBalance"})
    refused(lambda: cube.create_cube_pod(create), 520)
    control("account", {})
    control("stock", [{"zone": ZONE}])
    refused(lambda: cube.create_cube_pod(create), 8357)
    control("stock", [])
    control("limits", {"ListCubePod": 0})
    refused(lambda: cube.list_cube_pod({"Zone": ZONE}), 153)
    control("limits", {})
    control("faults", [{"route": "ListCubePod", "times": 1, "action": {"kind": "status", "code": 502}}])
    try:
        cube.list_cube_pod({"Zone": ZONE})
        raise AssertionError("no HTTP error")
    except exc.HTTPStatusException as error:
        assert error.status_code == 502, error
    control("faults", [{"route": "CreateCubePod", "action": {"kind": "status", "code": 200, "error": "8357", "afterwards": True}}])
    refused(lambda: sdk(retries=3).cube().create_cube_pod(create), 8357)
    control("faults", [])
    made = cube.list_cube_pod({"Zone": ZONE, "Limit": 100})["Pods"]
    hidden = [p["metadata"]["cubeId"] for p in map(decoded, made) if p["metadata"]["uid"] == "uid-2"]
    assert len(hidden) == 4, "a create that is retried makes one pod each time"
    for identity in hidden:
        cube.delete_cube_pod({"CubeId": identity, "Zone": ZONE})


def check_pages_and_end(client, identity):
    cube = client.cube()
    for n in range(5):
        cube.create_cube_pod({"Pod": encoded(pod(f"page-{n}")), "Group": "pages", **PLACE})
    seen = []
    for offset in (0, 2, 4):
        page = cube.list_cube_pod({"Zone": ZONE, "Limit": 2, "Offset": offset, "Group": "pages"})
        assert page["TotalCount"] == 5, page
        seen += [decoded(text)["metadata"]["uid"] for text in page["Pods"]]
    assert sorted(seen) == [f"page-{n}" for n in range(5)], seen
    refused(lambda: cube.list_cube_pod({"Zone": ZONE, "Limit": 101}), 230)
    for uid in seen:
        cube.delete_cube_pod({"Uid": uid, "Zone": ZONE})
    cube.delete_cube_pod({"CubeId": identity, "Zone": ZONE, "ReleaseEIP": "true"})
    until(lambda: cube.list_cube_pod({"Zone": ZONE})["TotalCount"], lambda n: n == 0, "empty")
    assert cube.get_cube_pod({"CubeId": identity})["Pod"] == ""


client = sdk()
identity = check_life(client.cube())
check_more(client, identity)
check_errors(client)
check_pages_and_end(client, identity)
assert control("unknown-parameters") == [], "the pod has only documented fields"
print("the vendor's SDK agrees with the simulator")
