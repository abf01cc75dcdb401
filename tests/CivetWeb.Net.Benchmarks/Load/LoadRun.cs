using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text.Json;

namespace CivetWeb.Net.Benchmarks.Load;

/// <summary>One measurement: a fresh server, the load generator, what it says.</summary>
internal sealed class LoadRun(LoadOptions options, string certificate)
{
    private const int PinnedCpu = 0;

    private static readonly TimeSpan s_startPatience = TimeSpan.FromSeconds(60);

    private static readonly Dictionary<string, string> s_nothing = [];

    public LoadResult Measure(LoadCase load, Contender contender)
    {
        int? cpu = load.IsPinned ? PinnedCpu : null;
        using var server = new ChildProcess(ServerCommand(load, contender), contender.Environment, cpu);
        string? said = server.ReadLine(s_startPatience);
        if (said is null || !said.StartsWith("port ", StringComparison.Ordinal))
        {
            return LoadResult.Failed($"the server has not started: {server.Ended ?? "it says nothing"}");
        }

        int deadline = load.DeadlineSeconds(load.WarmUpSeconds(options.Warmup) + options.Seconds);
        using var generator = new ChildProcess(GeneratorCommand(load, said[5..], server.Id, deadline), s_nothing, cpu);
        string? json = generator.ReadLine(TimeSpan.FromSeconds(deadline + 10));
        LoadResult result = json is null
            ? LoadResult.Failed($"the load generator has {generator.Ended ?? "not ended in time"}")
            : JsonSerializer.Deserialize<LoadResult>(json, JsonSerializerOptions.Web)!;
        return server.Ended is { } ended ? LoadResult.Failed($"the server has {ended}") : result;
    }

    private IEnumerable<string> ServerCommand(LoadCase load, Contender contender)
    {
        if (contender.IsNative)
        {
            yield return Repository.NativeProgram(contender.Command[0]);
        }
        else
        {
            yield return Repository.Self;
            yield return contender.Command[0];
        }

        foreach (string argument in contender.Command[1..])
        {
            yield return argument;
        }

        yield return "--connections";
        yield return load.Connections.ToString(CultureInfo.InvariantCulture);
        if (load.Sleep > 0)
        {
            yield return "--sleep";
            yield return load.Sleep.ToString(CultureInfo.InvariantCulture);
        }

        if (load.IsTls)
        {
            yield return "--certificate";
            yield return certificate;
        }
    }

    private IEnumerable<string> GeneratorCommand(LoadCase load, string port, int server, int deadline) =>
    [
        Repository.NativeProgram("wsload"),
        "--port",
        port,
        .. load.Arguments(options.IsText),
        "--warmup",
        load.WarmUpSeconds(options.Warmup).ToString(CultureInfo.InvariantCulture),
        "--seconds",
        options.Seconds.ToString(CultureInfo.InvariantCulture),
        "--deadline",
        deadline.ToString(CultureInfo.InvariantCulture),
        "--server-pid",
        server.ToString(CultureInfo.InvariantCulture),
    ];
}
