using System.Text.Json.Serialization;

namespace CivetWeb.Net.Benchmarks.Load;

/// <summary>What the load generator says: times in microseconds, memory in KiB.</summary>
internal sealed record LoadResult
{
    /// <summary>Why there is nothing else; null when all went well.</summary>
    public string? Error { get; init; }

    /// <summary>Protocol and cipher; empty without TLS.</summary>
    public string Tls { get; init; } = "";

    public int Connections { get; init; }

    public double Seconds { get; init; }

    public long Messages { get; init; }

    public double PerSecond { get; init; }

    public double P50 { get; init; }

    public double P99 { get; init; }

    public double P999 { get; init; }

    public double Max { get; init; }

    public double HandshakesPerSecond { get; init; }

    public long Errors { get; init; }

    public string LastError { get; init; } = "";

    public double ClientCpuSeconds { get; init; }

    public double ServerCpuSeconds { get; init; }

    /// <summary>Before the first client came.</summary>
    public long RssBefore { get; init; }

    /// <summary>At the end, with all clients connected.</summary>
    public long Rss { get; init; }

    public long PeakRss { get; init; }

    public int Threads { get; init; }

    /// <summary>The server's CPU time for a million messages; for silent clients it is for a second.</summary>
    [JsonIgnore]
    public double ServerCpuPerMillion => Messages > 0 ? ServerCpuSeconds / Messages * 1e6 : ServerCpuSeconds / Seconds;

    [JsonIgnore]
    public double ClientCpuPerMillion => Messages > 0 ? ClientCpuSeconds / Messages * 1e6 : ClientCpuSeconds / Seconds;

    /// <summary>All of the process, in KiB: threads that were there before the first client came are part of the price.</summary>
    [JsonIgnore]
    public double RssPerConnection => (double)Rss / Connections;

    [JsonIgnore]
    public double RssGrowthPerConnection => (double)(Rss - RssBefore) / Connections;

    public static LoadResult Failed(string error) => new() { Error = error };
}
