using System;
using System.Collections.Generic;
using System.Linq;

namespace CivetWeb.Net.Benchmarks.Load;

/// <summary>All results of a run, and what is computed from them.</summary>
internal sealed class Measurements
{
    private readonly List<Measurement> _all = [];

    public IReadOnlyList<Measurement> All => _all;

    public void Add(int repeat, LoadCase load, Contender contender, LoadResult result) =>
        _all.Add(new Measurement(repeat, load.Name, contender.Name, result));

    public bool Has(LoadCase load, Contender contender) => Of(load.Name, contender.Name).Any();

    public Spread? Value(LoadCase load, Contender contender, Func<LoadResult, double> value) =>
        Spread.Of(Of(load.Name, contender.Name).Where(m => m.Result.Error is null).Select(m => value(m.Result)));

    /// <summary>
    /// How many times another server's value: computed in each repetition, where both had the same machine around them, and
    /// the median of these. Null when there is nothing to compare.
    /// </summary>
    public Spread? Ratio(LoadCase load, Contender contender, string other, Func<LoadResult, double> value) =>
        Spread.Of(
            from mine in Of(load.Name, contender.Name)
            from theirs in Of(load.Name, other)
            where mine.Repeat == theirs.Repeat && mine.Result.Error is null && theirs.Result.Error is null && value(theirs.Result) > 0
            select value(mine.Result) / value(theirs.Result));

    public IEnumerable<string> Errors(LoadCase load, Contender contender) =>
        Of(load.Name, contender.Name)
            .Select(m => m.Result.Error ?? (m.Result.Errors > 0 ? $"{m.Result.Errors} connections failed: {m.Result.LastError}" : null))
            .OfType<string>()
            .Distinct();

    private IEnumerable<Measurement> Of(string load, string contender) => _all.Where(m => m.Case == load && m.Server == contender);
}

/// <summary>One of them.</summary>
internal sealed record Measurement(int Repeat, string Case, string Server, LoadResult Result);
