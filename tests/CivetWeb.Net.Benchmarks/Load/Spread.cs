using System.Collections.Generic;
using System.Linq;

namespace CivetWeb.Net.Benchmarks.Load;

/// <summary>The median of several values, with the smallest and the largest.</summary>
internal readonly record struct Spread(double Median, double Min, double Max)
{
    /// <summary>Null for no values.</summary>
    public static Spread? Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        if (sorted.Length == 0)
        {
            return null;
        }

        double median = (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
        return new Spread(median, sorted[0], sorted[^1]);
    }
}
