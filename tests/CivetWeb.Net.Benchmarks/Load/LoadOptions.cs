using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace CivetWeb.Net.Benchmarks.Load;

/// <summary>The command line of load.</summary>
internal sealed record LoadOptions
{
    public IReadOnlyList<LoadCase> Cases { get; init; } = LoadCase.All;

    public IReadOnlyList<Contender> Contenders { get; init; } = [.. Contender.All.Where(c => c.IsDefault)];

    public int Repeat { get; init; } = 5;

    public double Warmup { get; init; } = 2;

    public double Seconds { get; init; } = 3;

    /// <summary>Text messages instead of binary ones.</summary>
    public bool IsText { get; init; }

    public string Output { get; init; } = Path.Combine(Repository.Root, "artifacts", "benchmarks");

    public static LoadOptions Parse(string[] arguments)
    {
        var options = new LoadOptions();
        if (arguments.Contains("--quick"))
        {
            options = options with { Cases = [.. LoadCase.All.Where(c => c.IsQuick)], Repeat = 1, Warmup = 0.7, Seconds = 0.8 };
        }

        var reader = new ArgumentReader(arguments);
        while (reader.MoveNext())
        {
            options = reader.Name switch
            {
                "--quick" => options,
                "--only" => options with { Cases = [.. reader.List().Select(LoadCase.Parse)] },
                "--servers" => options with { Contenders = [.. reader.List().Select(Contender.Parse)] },
                "--repeat" => options with { Repeat = (int)reader.Number(1) },
                "--warmup" => options with { Warmup = reader.Number(0) },
                "--seconds" => options with { Seconds = reader.Number(0.1) },
                "--text" => options with { IsText = true },
                "--output" => options with { Output = reader.Text() },
                _ => throw reader.Unknown(),
            };
        }

        return options;
    }
}
