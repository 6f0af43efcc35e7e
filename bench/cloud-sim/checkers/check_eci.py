"""Drives the ECI facade with clients that this project did not write: the vendor's current SDK (both signatures) and its
legacy one, through a whole life cycle. Every assertion is on fields as those clients parsed them.

Usage: check_eci.py 127.0.0.1:PORT AK SK
Needs the packages alibabacloud-eci20180808, aliyun-python-sdk-core and aliyun-python-sdk-eci.
"""
import base64
import json
import sys
import time
import urllib.request

from alibabacloud_eci20180808 import models as m
from alibabacloud_eci20180808.client import Client
from alibabacloud_tea_openapi.models import Config
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkeci.request.v20180808.CreateContainerGroupRequest import CreateContainerGroupRequest
from aliyunsdkeci.request.v20180808.DeleteContainerGroupRequest import DeleteContainerGroupRequest
from aliyunsdkeci.request.v20180808.DescribeContainerGroupsRequest import DescribeContainerGroupsRequest

ENDPOINT, AK, SK = sys.argv[1:4]
REGION = "cn-hangzhou"


def control(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"http://{ENDPOINT}/_sim/{path}", data=data)) as answer:
        return json.load(answer)


def sdk(secret=SK, algorithm=None):
    config = Config(access_key_id=AK, access_key_secret=secret, region_id=REGION, endpoint=ENDPOINT, protocol="http")
    if algorithm:
        config.signature_algorithm = algorithm
    return Client(config)


def refused(call, status, code):
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the SDK raises its own and the transport's
        assert getattr(error, "code", None) == code, (getattr(error, "code", None), error)
        assert int(getattr(error, "status_code", status)) == status, error
        return error
    raise AssertionError(f"not refused: {status} {code}")


def until(read, wanted, what):
    last = None
    for _ in range(400):
        last = read()
        if wanted(last):
            return last
        time.sleep(0.025)
    raise AssertionError(f"{what}: {last}")


def request(name, token, **more):
    probe = m.CreateContainerGroupRequestContainerLivenessProbe(
        period_seconds=10,
        http_get=m.CreateContainerGroupRequestContainerLivenessProbeHttpGet(path="/h", port=80, scheme="HTTP"))
    variables = [
        m.CreateContainerGroupRequestContainerEnvironmentVar(key="A", value="中文 x*~"),
        m.CreateContainerGroupRequestContainerEnvironmentVar(
            key="POD_IP",
            field_ref=m.CreateContainerGroupRequestContainerEnvironmentVarFieldRef(field_path="status.podIP"))]
    container = m.CreateContainerGroupRequestContainer(
        name="nginx", image="nginx:1.25", cpu=1.0, memory=2.0, command=["sh", "-c", 'echo "hi" && sleep 1'],
        environment_var=variables, liveness_probe=probe,
        port=[m.CreateContainerGroupRequestContainerPort(port=80, protocol="TCP")],
        volume_mount=[m.CreateContainerGroupRequestContainerVolumeMount(name="cfg", mount_path="/etc/x", read_only=True)])
    init = m.CreateContainerGroupRequestInitContainer(name="prepare", image="busybox", command=["true"])
    file = m.CreateContainerGroupRequestVolumeConfigFileVolumeConfigFileToPath(
        path="a.txt", content=base64.b64encode(b"hello").decode(), mode=0o600)
    volume = m.CreateContainerGroupRequestVolume(
        name="cfg", type="ConfigFileVolume",
        config_file_volume=m.CreateContainerGroupRequestVolumeConfigFileVolume(
            default_mode=0o644, config_file_to_path=[file]))
    return m.CreateContainerGroupRequest(
        region_id=REGION, container_group_name=name, client_token=token, cpu=2.0, memory=4.0, restart_policy="Always",
        security_group_id="sg-1", v_switch_id="vsw-a,vsw-b", container=[container], init_container=[init],
        volume=[volume], tag=[m.CreateContainerGroupRequestTag(key="burst/pod", value="default/nginx a*b~c+d")], **more)


def described(client, identity):
    asked = m.DescribeContainerGroupsRequest(
        region_id=REGION, container_group_ids=json.dumps([identity]), with_event=True)
    body = client.describe_container_groups(asked).body
    return body.container_groups[0] if body.container_groups else None


def status(client, identity):
    asked = m.DescribeContainerGroupStatusRequest(region_id=REGION, container_group_ids=json.dumps([identity]))
    data = client.describe_container_group_status(asked).body.data
    return data[0] if data else None


def check_life(client, name):
    created = client.create_container_group(request(name, f"tok-{name}")).body
    identity = created.container_group_id
    assert identity.startswith("eci-") and created.request_id, created
    again = client.create_container_group(request(name, f"tok-{name}")).body
    assert again.container_group_id == identity, "a token is answered once"
    refused(lambda: client.create_container_group(request(f"{name}-b", f"tok-{name}")), 400,
            "IdempotentParameterMismatch")
    group = until(lambda: described(client, identity), lambda g: g.status == "Running", "Running")
    assert (group.container_group_name, group.cpu, group.memory) == (name, 2.0, 4.0), group
    assert (group.zone_id, group.v_switch_id, group.region_id) == (f"{REGION}-h", "vsw-a", REGION), group
    assert group.intranet_ip and group.creation_time and group.events, group
    assert [(t.key, t.value) for t in group.tags] == [("burst/pod", "default/nginx a*b~c+d")], group.tags
    one = group.containers[0]
    assert one.commands == ["sh", "-c", 'echo "hi" && sleep 1'], one
    assert [(v.key, v.value) for v in one.environment_vars] == [("A", "中文 x*~"), ("POD_IP", "")], one
    assert one.environment_vars[1].value_from.field_ref.field_path == "status.podIP", one
    assert (one.liveness_probe.http_get.path, one.liveness_probe.period_seconds) == ("/h", 10), one
    assert (one.ports[0].port, one.volume_mounts[0].mount_path, one.volume_mounts[0].read_only) == (80, "/etc/x", True)
    assert (one.current_state.state, one.ready, one.restart_count) == ("Running", True, 0), one
    first = group.init_containers[0]
    assert (first.command, first.current_state.state, first.current_state.exit_code) == (["true"], "Terminated", 0), first
    assert group.volumes[0].config_file_volume_config_file_to_paths[0].path == "a.txt", group.volumes
    return identity


def check_status(client, identity, name):
    now = status(client, identity)
    assert (now.name, now.status, now.pod_status.phase) == (name, "Running", "Running"), now
    assert now.uuid and now.namespace and now.annotations is not None, now
    container = now.pod_status.container_statuses[0]
    assert container.ready and container.started and container.state.running.started_atstarted_at, container
    assert now.pod_status.pod_ip and now.pod_status.pod_ips[0].ip == now.pod_status.pod_ip, now
    conditions = {c.type: c.status for c in now.pod_status.conditions}
    assert conditions["Ready"] == conditions["ContainerInstanceCreated"] == "True", conditions
    assert all(c.last_transition_time for c in now.pod_status.conditions), now.pod_status.conditions
    asked = m.DescribeContainerGroupEventsRequest(region_id=REGION, container_group_ids=json.dumps([identity]))
    events = client.describe_container_group_events(asked).body.data[0].events
    assert any(e.reason == "Started" and e.involved_object.uid == identity and e.source.component for e in events), events


def check_console(client, identity):
    log = client.describe_container_log(m.DescribeContainerLogRequest(
        region_id=REGION, container_group_id=identity, container_name="nginx", tail=1, timestamps=True)).body
    assert log.container_name == "nginx" and log.content.endswith("Z said\n"), log
    ask = dict(region_id=REGION, container_group_id=identity, container_name="nginx", command='["echo","hi"]')
    done = client.exec_container_command(m.ExecContainerCommandRequest(sync=True, tty=False, **ask)).body
    assert done.sync_response == "hi\n", done
    link = client.exec_container_command(m.ExecContainerCommandRequest(tty=True, stdin=True, **ask)).body
    assert link.http_url.startswith("https://") and link.web_socket_uri.startswith("ws"), link
    refused(lambda: client.exec_container_command(m.ExecContainerCommandRequest(sync=True, tty=True, **ask)), 400,
            "InvalidParameter")


def check_change(client, identity):
    tag = [m.UpdateContainerGroupRequestTag(key="a", value="1"), m.UpdateContainerGroupRequestTag(key="b", value="2")]
    client.update_container_group(m.UpdateContainerGroupRequest(
        region_id=REGION, container_group_id=identity, client_token=f"up-{identity}", tag=tag))
    group = until(lambda: described(client, identity), lambda g: g.status == "Running", "updated")
    assert {t.key: t.value for t in group.tags} == {"a": "1", "b": "2"}, group.tags
    control("hold", {"id": identity, "held": True})
    container = m.UpdateContainerGroupRequestContainer(name="nginx", image="nginx:1.27", cpu=1.0, memory=2.0)
    client.update_container_group(m.UpdateContainerGroupRequest(
        region_id=REGION, container_group_id=identity, update_type="IncrementalUpdate", container=[container]))
    assert described(client, identity).status == "Updating"
    control("hold", {"id": identity, "held": False})
    address = group.intranet_ip
    group = until(lambda: described(client, identity), lambda g: g.status == "Running", "updated again")
    assert group.containers[0].image == "nginx:1.27" and group.intranet_ip == address, group
    assert group.containers[0].commands[0] == "sh", "what an increment does not name stays"
    refused(lambda: client.update_container_group(m.UpdateContainerGroupRequest(
        region_id=REGION, container_group_id="eci-none", cpu=2.0)), 404, "InvalidParameter.NotFound")
    control("hold", {"id": identity, "held": True})
    client.restart_container_group(m.RestartContainerGroupRequest(region_id=REGION, container_group_id=identity))
    assert described(client, identity).status == "Restarting"
    control("hold", {"id": identity, "held": False})
    until(lambda: described(client, identity), lambda g: g.status == "Running", "restarted")


def check_market(client, identity):
    price = client.describe_container_group_price(m.DescribeContainerGroupPriceRequest(
        region_id=REGION, cpu=1.0, memory=2.0)).body.price_info
    assert abs(price.price.trade_price - 0.2205) < 1e-4 and price.price.currency == "CNY", price
    assert price.price.detail_infos.detail_info[0].resource, price
    destination = m.DescribeAvailableResourceRequestDestinationResource(category="InstanceType", cores=4.0, memory=8.0)
    asked = m.DescribeAvailableResourceRequest(region_id=REGION, destination_resource=destination)
    control("stock", [{"zone": f"{REGION}-h", "cpu": 4.0, "memory": 8.0}])
    zones = client.describe_available_resource(asked).body.available_zones.available_zone
    shown = {z.zone_id: z.available_resources.available_resource[0].supported_resources.supported_resource[0].status_category
             for z in zones}
    assert shown == {f"{REGION}-h": "WithoutStock", f"{REGION}-i": "WithStock"}, shown
    control("stock", [])
    usage = client.list_usage(m.ListUsageRequest(region_id=REGION)).body.attributes
    assert usage["UsedCpu"] >= 2 and usage["MaxCpu"], usage
    regions = client.describe_regions(m.DescribeRegionsRequest()).body.regions
    assert regions[0].region_id == REGION and len(regions[0].zones) == 2 and regions[0].region_endpoint, regions
    metric = client.describe_container_group_metric(m.DescribeContainerGroupMetricRequest(
        region_id=REGION, container_group_id=identity, period="60")).body
    record = metric.records[0]
    assert record.cpu.limit == 2000 and record.memory.working_set and record.containers[0].name == "nginx", record
    assert record.network.interfaces[0].name == "eth0" and record.disk[0].read_io == 0, record
    several = client.describe_multi_container_group_metric(m.DescribeMultiContainerGroupMetricRequest(
        region_id=REGION, container_group_ids=json.dumps([identity]))).body
    latest = several.monitor_datas[0].records[0]
    assert latest.cpu.limit == 2000 and latest.containers[0].name == "nginx", several
    # A tenth of what the container asks for, since it started.
    used = latest.containers[0].cpu
    assert used.usage_nano_cores == used.limit * 100_000 and used.usage_core_nano_seconds > 0, several


def check_caches_and_tags(client, identity):
    made = client.create_image_cache(m.CreateImageCacheRequest(
        region_id=REGION, image_cache_name="cache", image=["nginx:1.25"])).body.image_cache_id
    asked = m.DescribeImageCachesRequest(region_id=REGION, image_cache_id=made)
    cache = until(lambda: client.describe_image_caches(asked).body.image_caches[0], lambda c: c.status == "Ready", "Ready")
    assert (cache.progress, cache.images, bool(cache.snapshot_id)) == ("100%", ["nginx:1.25"], True), cache
    client.delete_image_cache(m.DeleteImageCacheRequest(region_id=REGION, image_cache_id=made))
    kind = {"region_id": REGION, "resource_type": "ContainerGroup", "resource_id": [identity]}
    client.tag_resources(m.TagResourcesRequest(tag=[m.TagResourcesRequestTag(key="c", value="3")], **kind))
    client.untag_resources(m.UntagResourcesRequest(tag_key=["a"], **kind))
    tags = client.list_tag_resources(m.ListTagResourcesRequest(**kind)).body.tag_resources
    assert {t.tag_key: t.tag_value for t in tags} == {"b": "2", "c": "3"}, tags


def check_errors(client):
    refused(lambda: described(sdk("wrong"), "eci-1"), 400, "SignatureDoesNotMatch")
    control("faults", [{"route": "CreateContainerGroup", "times": 1, "action": {"kind": "status", "code": 503}}])
    refused(lambda: client.create_container_group(request("flaky", "tok-flaky")), 503, "ServiceUnavailable")
    control("stock", [{}])
    refused(lambda: client.create_container_group(request("flaky", "tok-flaky")), 403, "OperationDenied.NoStock")
    control("stock", [])
    control("account", {"state": "arrears"})
    refused(lambda: client.create_container_group(request("flaky", "tok-flaky")), 400, "Account.Arrearage")
    control("account", {})
    control("limits", {"ListUsage": 0})
    refused(lambda: client.list_usage(m.ListUsageRequest(region_id=REGION)), 400, "Throttling")
    control("limits", {})
    dry = request("dry", None, dry_run=True)
    refused(lambda: client.create_container_group(dry), 400, "DryRunOperation")


def check_gone(client, identity):
    gone = m.DeleteContainerGroupRequest(region_id=REGION, container_group_id=identity, client_token=f"del-{identity}")
    client.delete_container_group(gone)
    client.delete_container_group(gone)
    until(lambda: described(client, identity), lambda g: g is None, "gone")


def check_pages(client):
    made = [client.create_container_group(request(f"page-{n}", f"tok-page-{n}")).body.container_group_id for n in range(5)]
    seen, token, pages = [], None, 0
    while True:
        body = client.describe_container_group_status(m.DescribeContainerGroupStatusRequest(
            region_id=REGION, limit=2, next_token=token)).body
        assert body.total_count == 5, body
        seen += [group.container_group_id for group in body.data]
        token, pages = body.next_token, pages + 1
        if not token:
            break
    assert (sorted(seen), pages) == (sorted(made), 3), (seen, pages)
    for identity in made:
        check_gone(client, identity)


def check_legacy():
    client = AcsClient(AK, SK, REGION)

    def send(query):
        query.set_endpoint(ENDPOINT)
        query.set_protocol_type("http")
        return json.loads(client.do_action_with_exception(query))

    create = CreateContainerGroupRequest()
    create.set_ContainerGroupName("legacy")
    create.set_ClientToken("tok-legacy")
    create.set_Containers([{"Name": "nginx", "Image": "nginx:1.25", "Cpu": 1.0, "Memory": 2.0, "Commands": ["sh", "-c", "a b"],
                            "EnvironmentVars": [{"Key": "A", "Value": "中文 x*~"}]}])
    identity = send(create)["ContainerGroupId"]
    assert send(create)["ContainerGroupId"] == identity
    listing = DescribeContainerGroupsRequest()
    listing.set_ContainerGroupName("legacy")
    group = send(listing)["ContainerGroups"][0]
    one = group["Containers"][0]
    assert (one["Commands"], one["EnvironmentVars"][0]["Value"]) == (["sh", "-c", "a b"], "中文 x*~"), group
    delete = DeleteContainerGroupRequest()
    delete.set_ContainerGroupId(identity)
    delete.set_method("POST")
    send(delete)
    until(lambda: send(listing)["ContainerGroups"], lambda groups: not groups, "gone")
    try:
        send(delete)
        raise AssertionError("deleted twice")
    except ServerException as error:
        assert (error.get_http_status(), error.get_error_code()) == (404, "InvalidParameter.NotFound"), error


for name, algorithm in (("current", None), ("rpc", "v2")):
    client = sdk(algorithm=algorithm)
    identity = check_life(client, name)
    check_status(client, identity, name)
    check_console(client, identity)
    check_change(client, identity)
    check_market(client, identity)
    check_caches_and_tags(client, identity)
    check_errors(client)
    check_gone(client, identity)
check_pages(sdk())
check_legacy()
unknown = control("unknown-parameters")
assert unknown == [], unknown
print("the vendor's current and legacy SDKs agree with the simulator")
